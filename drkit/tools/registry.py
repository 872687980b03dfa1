"""A container registry over its HTTP API (distribution spec), on this machine."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, NamedTuple
from urllib.parse import quote

from drkit.errors import NotServed, ToolFailed

# What is asked for, and what an entry of an index must be to be a manifest itself: BuildKit's caches are
# indexes whose entries are layers.
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.oci.artifact.manifest.v1+json",
)
_LARGEST_MANIFEST = 64 << 20
_PIECE = 1 << 20
PATIENCE_SECONDS = 60.0
_ALGORITHMS = ("sha256", "sha384", "sha512")


class Descriptor(NamedTuple):
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


@dataclass(frozen=True)
class Loopback:
    """A registry on a port of this machine, reached by TLS with a certificate of the client's own."""

    port: int
    tls: ssl.SSLContext


# Where a registry listens: a Unix socket, or a port.
Address = Path | Loopback


class Client:
    """A registry of drkit's own, for several threads at once.

    Every method raises ToolFailed with what was asked and came back, or that nothing came for `patience`
    seconds; NotServed for a 404.
    """

    def __init__(self, address: Address, patience: float = PATIENCE_SECONDS) -> None:
        self._address = address
        self._patience = patience
        self._own = threading.local()
        self._opened: list[_Connection] = []

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._opened:
            connection.close()

    def answers(self) -> bool:
        """Whether a registry is there and speaks the API's second version."""
        try:
            with self._asked("GET", "/v2/") as answer:
                answer.read()
                return answer.status == 200
        except ToolFailed:
            return False

    def manifest(self, repository: str, digest: str) -> Manifest:
        """A manifest by digest, its bytes checked against it."""
        path = f"/v2/{repository}/manifests/{digest}"
        with self._served(path, {"Accept": ", ".join(MANIFEST_TYPES)}) as answer:
            data = answer.read(_LARGEST_MANIFEST + 1)
            if len(data) > _LARGEST_MANIFEST:
                raise ToolFailed(f"GET {path}: more than {_LARGEST_MANIFEST} bytes")
        if not hashes_to(data, digest):
            data = signed_payload(data)
        if not hashes_to(data, digest):
            raise ToolFailed(f"{repository}@{digest}: the registry serves other bytes")
        return parse_manifest(digest, data)

    def pull_blob(self, repository: str, blob: Descriptor) -> None:
        """Read a whole blob and check length and digest; nothing is kept."""
        found, length, piece = hasher(blob.digest), 0, memoryview(bytearray(_PIECE))
        with self._served(f"/v2/{repository}/blobs/{blob.digest}", {}) as answer:
            while count := answer.readinto(piece):
                found.update(piece[:count])
                length += count
        # A manifest of Docker's first schema does not say how long its layers are.
        if found.hexdigest() != blob.digest.partition(":")[2] or blob.size not in (length, -1):
            raise ToolFailed(f"{repository}: blob {blob.digest} is served with other bytes")

    def has_blob(self, repository: str, blob: Descriptor) -> None:
        """Ask whether this repository serves the blob at its size, without reading it."""
        with self._asked("HEAD", f"/v2/{repository}/blobs/{blob.digest}") as answer:
            answer.read()
        if answer.status == 404:
            raise NotServed(f"{repository}: blob {blob.digest} is not served")
        length = int(answer.headers.get("Content-Length", -1))
        if answer.status != 200 or blob.size not in (length, -1):
            raise ToolFailed(f"{repository}: blob {blob.digest} is served wrongly: {answer.status}")

    @contextlib.contextmanager
    def _served(self, path: str, headers: Mapping[str, str]) -> Iterator[HTTPResponse]:
        """The answer to a request for something that must be there."""
        with self._asked("GET", path, headers) as answer:
            if answer.status != 200:
                kind = NotServed if answer.status == 404 else ToolFailed
                raise kind(f"GET {path}: {answer.status} {answer.reason}")
            yield answer

    @contextlib.contextmanager
    def _asked(
        self, method: str, path: str, headers: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[HTTPResponse]:
        """The answer to a request; where it is not read to its end, the connection is of no use any more."""
        connection = self._connection()
        whole = False
        try:
            with connection.ask(method, quote(path, safe="/:"), headers) as answer:
                yield answer
                whole = answer.isclosed()
        except (OSError, HTTPException) as error:
            raise ToolFailed(f"{method} {path}: {error or type(error).__name__}") from None
        finally:
            if not whole:
                connection.close()

    def _connection(self) -> _Connection:
        """This thread's own; it opens itself at its first request, and again after it was closed."""
        if not hasattr(self._own, "connection"):
            self._own.connection = _Connection(self._address, self._patience)
            self._opened.append(self._own.connection)
        found: _Connection = self._own.connection
        return found


class _Connection(HTTPConnection):
    """HTTP over a Unix socket, or by TLS to a port.

    The standard library's client: a blob of 64 KiB costs the machine a fifth of what it does with httpx.
    """

    def __init__(self, address: Address, patience: float) -> None:
        super().__init__("localhost", timeout=patience)
        self._address = address

    def connect(self) -> None:
        """Open it."""
        if isinstance(self._address, Loopback):
            plain = socket.create_connection(("127.0.0.1", self._address.port), timeout=self.timeout)
            self.sock = self._address.tls.wrap_socket(plain, server_hostname="127.0.0.1")
            return
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._address))

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> HTTPResponse:
        """The answer to a request that only reads.

        Asked once more where the server had let go of a connection that was open from before.
        """
        used = self.sock is not None
        try:
            return self._ask(method, path, headers)
        except ConnectionError:
            self.close()
            if not used:
                raise
        return self._ask(method, path, headers)

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> HTTPResponse:
        self.request(method, path, headers=dict(headers))
        return self.getresponse()


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
        children = [entry for entry in entries if entry.media_type in ("", *MANIFEST_TYPES)]
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
