"""The list of what refers to a manifest, in a registry that does not keep it itself.

An index under the tag `sha256-<digest>` (distribution specification, "Referrers Tag Schema"). Every client
that pushes a referrer reads it and writes it anew; what it does not know it leaves in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from drkit.errors import RegistryRefused

INDEX = "application/vnd.oci.image.index.v1+json"
_DIGITS = 64


def tag(subject: str) -> str:
    """The tag of the list: the digest of what they refer to, cut where a tag would be too long."""
    algorithm, _, digits = subject.partition(":")
    return f"{algorithm[:32]}-{digits[:_DIGITS]}"


def entries(data: bytes, name: str) -> list[dict[str, Any]]:
    """What a list names; raises RegistryRefused for what is no index, which nobody may overwrite then."""
    try:
        found = json.loads(data)["manifests"]
        if not all(isinstance(each["digest"], str) for each in found):
            raise TypeError
    except (ValueError, LookupError, TypeError, RecursionError):
        raise RegistryRefused(
            f"{name} is there and lists no manifests", hint="delete that tag if it is no image of yours"
        ) from None
    return list(found)


def missing(
    there: Iterable[Mapping[str, Any]], wanted: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Those that a list does not name."""
    known = {each["digest"] for each in there}
    return [each for each in wanted if each["digest"] not in known]


def completed(there: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> bytes:
    """The list with what it lacks."""
    manifests = [*there, *missing(there, wanted)]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
