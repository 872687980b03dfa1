"""A container registry over its HTTP API (distribution spec), on a Unix socket or a URL, by httpx."""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from drkit.errors import NotServed, ToolFailed

_MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.oci.artifact.manifest.v1+json",
)
_LARGEST_MANIFEST = 64 << 20


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says of a blob or child manifest: its digest, size and media type."""

    digest: str
    size: int
    media_type: str

    @property
    def foreign(self) -> bool:
        """A layer that is fetched from elsewhere and never stored in a registry."""
        return "foreign" in self.media_type or "nondistributable" in self.media_type


@dataclass(frozen=True)
class Manifest:
    """An image manifest (with `blobs`) or an index (with `children`)."""

    digest: str
    children: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]


class Client:
    """A registry; every method raises ToolFailed with what was asked and came back, NotServed for a 404."""

    def __init__(self, *, socket: Path | None = None, url: str = "http://registry.local") -> None:
        # Plain HTTP: every certificate authority that the machine knows would be loaded for nothing.
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        transport = httpx.HTTPTransport(verify=nobody, uds=str(socket) if socket else None, retries=0)
        self._http = httpx.Client(transport=transport, base_url=url, timeout=60.0)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def answers(self) -> bool:
        """Whether a registry is there and speaks the API's second version."""
        try:
            return self._http.get("/v2/").status_code == 200
        except httpx.HTTPError:
            return False

    def manifest(self, repository: str, digest: str) -> Manifest:
        """A manifest by digest, its bytes checked against it."""
        path = f"/v2/{repository}/manifests/{digest}"
        data = b"".join(self._body(path, {"Accept": ", ".join(_MANIFEST_TYPES)}, _LARGEST_MANIFEST))
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
            raise ToolFailed(f"{repository}@{digest}: the registry serves other bytes")
        return parse_manifest(digest, data)

    def pull_blob(self, repository: str, blob: Descriptor) -> None:
        """Read a whole blob and check length and digest; nothing is kept."""
        sha256 = hashlib.sha256()
        length = 0
        for piece in self._body(f"/v2/{repository}/blobs/{blob.digest}", {}, None):
            sha256.update(piece)
            length += len(piece)
        if f"sha256:{sha256.hexdigest()}" != blob.digest or length != blob.size:
            raise ToolFailed(f"{repository}: blob {blob.digest} comes back as other bytes")

    def has_blob(self, repository: str, blob: Descriptor) -> None:
        """Ask whether this repository serves the blob at its size, without reading it."""
        path = f"/v2/{repository}/blobs/{blob.digest}"
        try:
            answer = self._http.head(path)
        except httpx.HTTPError as error:
            raise ToolFailed(f"HEAD {path}: {error}") from None
        if answer.status_code == 404:
            raise NotServed(f"{repository}: blob {blob.digest} is not served")
        if answer.status_code != 200 or int(answer.headers.get("content-length", -1)) != blob.size:
            raise ToolFailed(f"{repository}: blob {blob.digest} is served wrongly: {answer.status_code}")

    def _body(self, path: str, headers: dict[str, str], limit: int | None) -> Iterator[bytes]:
        length = 0
        try:
            with self._http.stream("GET", path, headers=headers) as answer:
                if answer.status_code == 404:
                    raise NotServed(f"GET {path}: {answer.status_code} {answer.reason_phrase}")
                if answer.status_code != 200:
                    raise ToolFailed(f"GET {path}: {answer.status_code} {answer.reason_phrase}")
                for piece in answer.iter_raw():
                    length += len(piece)
                    if limit is not None and length > limit:
                        raise ToolFailed(f"GET {path}: more than {limit} bytes")
                    yield piece
        except httpx.HTTPError as error:
            raise ToolFailed(f"GET {path}: {error}") from None


def parse_manifest(digest: str, data: bytes) -> Manifest:
    """What a manifest's bytes refer to; raises ToolFailed if they are no manifest."""
    try:
        document: dict[str, Any] = json.loads(data)
        # Go writes null for a list that has nothing in it.
        children = [_descriptor(entry) for entry in document.get("manifests") or ()]
        listed = [*(document.get("layers") or ()), *(document.get("blobs") or ())]
        blobs = [
            _descriptor(entry) for entry in ([document["config"]] if "config" in document else []) + listed
        ]
        # Docker's first schema, still found in old registries.
        blobs += [Descriptor(e["blobSum"], -1, "") for e in document.get("fsLayers") or ()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolFailed(f"{digest} is no manifest: {error}") from None
    return Manifest(digest, tuple(children), tuple(blobs))


def _descriptor(entry: dict[str, Any]) -> Descriptor:
    return Descriptor(entry["digest"], int(entry["size"]), entry.get("mediaType", ""))
