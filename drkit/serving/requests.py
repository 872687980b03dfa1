"""What a client asks a registry for (OCI distribution specification 1.1): pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

Kind = Literal["base", "catalog", "tags", "referrers", "manifest", "blob"]

# A repository's name (distribution/reference): nothing in it begins with `_` or is `..`.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = rf"(?P<name>{_PART}(?:/{_PART})*)"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_DIGEST = r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}"
_PATHS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("base", re.compile(r"/v2/?")),
    ("catalog", re.compile(r"/v2/_catalog")),
    ("tags", re.compile(rf"/v2/{_NAME}/tags/list")),
    ("referrers", re.compile(rf"/v2/{_NAME}/referrers/(?P<reference>{_DIGEST})")),
    ("manifest", re.compile(rf"/v2/{_NAME}/manifests/(?P<reference>{_TAG}|{_DIGEST})")),
    ("blob", re.compile(rf"/v2/{_NAME}/blobs/(?P<reference>{_DIGEST})")),
)
_MOST = 1000
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"


@dataclass(frozen=True)
class Request:
    """What is asked for; `reference` is a tag or a digest. `most` and `after` cut a list into pages."""

    kind: Kind
    repository: str = ""
    reference: str = ""
    most: int = _MOST
    after: str = ""
    artifact_type: str = ""

    @property
    def by_digest(self) -> bool:
        """Whether the reference is a digest."""
        return ":" in self.reference


def parse(target: str) -> Request | None:
    """The request that a target (path and query) makes, or None where it is none of a registry's."""
    split = urlsplit(target)
    path = unquote(split.path)
    for kind, pattern in _PATHS:
        if found := pattern.fullmatch(path):
            parts = found.groupdict()
            query = {name: values[-1] for name, values in parse_qs(split.query).items()}
            return Request(
                kind,
                parts.get("name") or "",
                parts.get("reference") or "",
                _count(query.get("n", "")),
                query.get("last", ""),
                query.get("artifactType", ""),
            )
    return None


def _count(text: str) -> int:
    return min(int(text), _MOST) if text.isascii() and text.isdecimal() else _MOST


def media_type(data: bytes) -> str:
    """The media type that a manifest has, which it does not always say of itself."""
    try:
        document: Any = json.loads(data)
        said = document.get("mediaType")
    except (ValueError, AttributeError, RecursionError):
        return "application/octet-stream"
    if isinstance(said, str) and said.isprintable() and said.isascii():
        return said
    if "signatures" in document:
        return _SIGNED
    return _INDEX if "manifests" in document else _MANIFEST


def referrer(digest: str, data: bytes) -> tuple[str, dict[str, Any]] | None:
    """The digest that a manifest names as its subject, and how a list of referrers describes the manifest."""
    try:
        document: Any = json.loads(data)
        subject = document["subject"]["digest"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    described = {"mediaType": media_type(data), "digest": digest, "size": len(data)}
    config = document.get("config")
    kind = document.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else None)
    if kind:
        described["artifactType"] = kind
    if document.get("annotations"):
        described["annotations"] = document["annotations"]
    return str(subject), described


def referrers(descriptors: Sequence[dict[str, Any]], artifact_type: str) -> bytes:
    """The index that lists referrers, those of one artifact type alone if it is named."""
    wanted = [d for d in descriptors if not artifact_type or d.get("artifactType") == artifact_type]
    return json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": wanted}).encode()


def error(code: str, message: str) -> bytes:
    """An error as the specification wants it."""
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()
