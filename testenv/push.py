"""Pushing to a registry over its HTTP API, as any client would."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from testenv.content import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from testenv.content import Manifest

MANIFEST_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST)
_PIECE = 256 * 1024


class UnexpectedAnswerError(RuntimeError):
    """The registry answered with another status than it should."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Pusher:
    """Connections to one registry, kept open; may be used from several threads."""

    def __init__(self, url: str) -> None:
        # trust_env: a proxy in the environment must not see what goes to 127.0.0.1.
        self._client = httpx.Client(base_url=url, timeout=120, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def blob(self, repository: str, digest: str, content: bytes) -> None:
        """Push a blob in one piece."""
        where = self._expect(202, self._client.post(f"/v2/{repository}/blobs/uploads/")).headers["Location"]
        url = httpx.URL(where).copy_merge_params({"digest": digest})
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(content))}
        self._expect(201, self._client.put(url, content=_pieces(content), headers=headers))

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has this blob."""
        return self._client.head(f"/v2/{repository}/blobs/{digest}").status_code == httpx.codes.OK

    def mount(self, repository: str, digest: str, source: str) -> None:
        """Take over a blob that another repository has, without sending it."""
        parameters = {"mount": digest, "from": source}
        self._expect(201, self._client.post(f"/v2/{repository}/blobs/uploads/", params=parameters))

    def manifest(self, repository: str, manifest: Manifest, tag: str | None = None) -> None:
        """Push a manifest by its tag, or by digest if it has none."""
        self._expect(
            201,
            self._client.put(
                f"/v2/{repository}/manifests/{tag or manifest.digest}",
                content=manifest.content,
                headers={"Content-Type": manifest.media_type},
            ),
        )

    def delete_manifest(self, repository: str, digest: str) -> None:
        """Delete a manifest and the tags that point to it from a repository; one that is gone is fine."""
        answer = self._client.delete(f"/v2/{repository}/manifests/{digest}")
        if answer.status_code != httpx.codes.NOT_FOUND:
            self._expect(202, answer)

    def pull_manifest(self, repository: str, reference: str) -> tuple[bytes, str]:
        """A manifest's bytes and media type."""
        url = f"/v2/{repository}/manifests/{reference}"
        answer = self._expect(200, self._client.get(url, headers={"Accept": ", ".join(MANIFEST_TYPES)}))
        return answer.content, answer.headers["Content-Type"]

    @staticmethod
    def _expect(status: int, answer: httpx.Response) -> httpx.Response:
        if answer.status_code != status:
            raise UnexpectedAnswerError(
                f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}",
                answer.status_code,
            )
        return answer


def _pieces(content: bytes) -> Iterator[bytes]:
    """The client copies what is left of a body after each piece that the socket takes: small bodies, then."""
    for start in range(0, len(content), _PIECE):
        yield content[start : start + _PIECE]
