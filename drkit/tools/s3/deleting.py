"""Deleting many objects with few requests, each object's outcome kept apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from drkit.tools.s3.client import TRANSIENT, Client

_BATCH = 1000  # S3 takes no more in one request


def delete(
    client: Client, objects: Sequence[tuple[str, str | None]], *, tidying: bool = False
) -> Iterator[tuple[str, str | None, str]]:
    """Delete objects, or their versions; yields those that stay, with what the service said of each.

    What is `tidying` is done even while drkit is being interrupted.
    """
    for start in range(0, len(objects), _BATCH):
        yield from _batch(client, objects[start : start + _BATCH], tidying=tidying)


def _batch(
    client: Client, objects: Sequence[tuple[str, str | None]], *, tidying: bool
) -> Iterator[tuple[str, str | None, str]]:
    call = client.tidy if tidying else client.call
    for attempt in range(1, client.access.attempts + 1):
        named = [{"Key": key} | ({"VersionId": version} if version else {}) for key, version in objects]
        answer = call(client.api.delete_objects, Delete={"Objects": named, "Quiet": True})
        again = []
        for error in answer.get("Errors", ()):
            code, stay = str(error.get("Code", "")), _meant(error, objects)
            if code in TRANSIENT and attempt < client.access.attempts:
                again += stay
            else:
                said = f"{code} {error.get('Message', '')}".strip()
                yield from ((key, version, said) for key, version in stay)
        if not again:
            return
        client.pause(attempt)
        objects = again


def _meant(
    error: Mapping[str, str], objects: Sequence[tuple[str, str | None]]
) -> list[tuple[str, str | None]]:
    """Which of the objects an error is about: some services leave the version out, then all of that key."""
    key, version = error["Key"], error.get("VersionId")
    return [each for each in objects if each[0] == key and (not version or each[1] in (None, version))]
