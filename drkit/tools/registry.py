"""A container registry over its HTTP API (distribution spec), on a Unix socket or a URL, by httpx."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from drkit.errors import NotServed, ToolFailed

# What is asked for, and what an entry of an index must be to be a manifest itself: BuildKit's caches are
# indexes whose entries are layers.
_MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.oci.artifact.manifest.v1+json",
)
_LARGEST_MANIFEST = 64 << 20
_ALGORITHMS = ("sha256", "sha384", "sha512")


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says of a blob or child manifest: its digest, size and media type.

    `urls` says that it names other places to get the bytes from.
    """

    digest: str
    size: int
    media_type: str
    urls: bool = False

    @property
    def foreign(self) -> bool:
        """A layer that is fetched from elsewhere, and that a registry need not have.

        distribution takes any layer that has URLs without its bytes (ocimanifesthandler.go).
        """
        return self.urls or self._by_type

    @property
    def only_urls(self) -> bool:
        """A foreign layer that has the type of any other."""
        return self.urls and not self._by_type

    @property
    def _by_type(self) -> bool:
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
        # Here, for manifests are parsed by many who ask no registry.
        import httpx

        self._failures = httpx.HTTPError
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
        except self._failures:
            return False

    def manifest(self, repository: str, digest: str) -> Manifest:
        """A manifest by digest, its bytes checked against it."""
        path = f"/v2/{repository}/manifests/{digest}"
        data = b"".join(self._body(path, {"Accept": ", ".join(_MANIFEST_TYPES)}, _LARGEST_MANIFEST))
        if not hashes_to(data, digest):
            data = signed_payload(data)
        if not hashes_to(data, digest):
            raise ToolFailed(f"{repository}@{digest}: the registry serves other bytes")
        return parse_manifest(digest, data)

    def pull_blob(self, repository: str, blob: Descriptor) -> None:
        """Read a whole blob and check length and digest; nothing is kept."""
        found = hasher(blob.digest)
        length = 0
        for piece in self._body(f"/v2/{repository}/blobs/{blob.digest}", {}, None):
            found.update(piece)
            length += len(piece)
        # A manifest of Docker's first schema does not say how long its layers are.
        if found.hexdigest() != blob.digest.partition(":")[2] or blob.size not in (length, -1):
            raise ToolFailed(f"{repository}: blob {blob.digest} is served with other bytes")

    def has_blob(self, repository: str, blob: Descriptor) -> None:
        """Ask whether this repository serves the blob at its size, without reading it."""
        path = f"/v2/{repository}/blobs/{blob.digest}"
        try:
            answer = self._http.head(path)
        except self._failures as error:
            raise ToolFailed(f"HEAD {path}: {error}") from None
        if answer.status_code == 404:
            raise NotServed(f"{repository}: blob {blob.digest} is not served")
        length = int(answer.headers.get("content-length", -1))
        if answer.status_code != 200 or blob.size not in (length, -1):
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
        except self._failures as error:
            raise ToolFailed(f"GET {path}: {error}") from None


def hasher(digest: str) -> hashlib._Hash:
    """What computes a digest of this one's algorithm; raises ToolFailed for an unknown algorithm."""
    algorithm = digest.partition(":")[0]
    if algorithm not in _ALGORITHMS:
        raise ToolFailed(f"the algorithm of the digest {digest} is not known")
    return hashlib.new(algorithm)


def hashes_to(data: bytes, digest: str) -> bool:
    """Whether the bytes are those that the digest promises."""
    found = hasher(digest)
    found.update(data)
    return found.hexdigest() == digest.partition(":")[2]


def signed_payload(data: bytes) -> bytes:
    """What was signed of a manifest of Docker's first schema; other bytes come back as they are.

    A registry keeps the payload and signs it anew for each request, so the answer never hashes to its digest
    (JWS in libtrust's "pretty" form: the signature tells where the payload was cut and how it went on).
    """
    try:
        protected = json.loads(_base64url(json.loads(data)["signatures"][0]["protected"]))
        return data[: int(protected["formatLength"])] + _base64url(protected["formatTail"])
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return data


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parse_manifest(digest: str, data: bytes) -> Manifest:
    """What a manifest's bytes refer to; raises ToolFailed if they are no manifest."""
    try:
        document: dict[str, Any] = json.loads(data)
        # Go writes null for a list that has nothing in it.
        entries = [_descriptor(entry) for entry in document.get("manifests") or ()]
        children = [entry for entry in entries if entry.media_type in ("", *_MANIFEST_TYPES)]
        listed = [*(document.get("layers") or ()), *(document.get("blobs") or ())]
        config = [document["config"]] if document.get("config") else []
        blobs = [entry for entry in entries if entry not in children]
        blobs += [_descriptor(entry) for entry in config + listed]
        # Docker's first schema, still found in old registries.
        blobs += [Descriptor(e["blobSum"], -1, "") for e in document.get("fsLayers") or ()]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolFailed(f"{digest} is not a manifest: {error}") from None
    return Manifest(digest, tuple(children), tuple(blobs))


def _descriptor(entry: dict[str, Any]) -> Descriptor:
    urls = bool(entry.get("urls"))
    return Descriptor(entry["digest"], int(entry["size"]), entry.get("mediaType") or "", urls)
