"""The read-only registry itself: the distribution API over HTTP or HTTPS, a thread a connection."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import quote, urlencode

from drkit.errors import ConfigError, DrkitError, WrongBytes
from drkit.serving import requests
from drkit.serving.images import Images
from drkit.serving.requests import Request
from drkit.tools import byte_range
from drkit.tools.http_server import Server

log = logging.getLogger(__name__)

# Seconds that a client may say nothing, or take nothing.
_PATIENCE = 60.0
_LITTLE = 64 << 10


@dataclass
class Served:
    """What was handed out so far; `refused` are digests whose bytes were others."""

    manifests: int = 0
    blobs: int = 0
    bytes: int = 0
    refused: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class _Answer:
    """Status, headers and content of an answer; `pieces` is for what is not in memory, `length` long."""

    status: HTTPStatus
    content_type: str = "application/json"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    pieces: Iterable[bytes] | None = None
    length: int = 0


class RegistryServer(Server):
    """Serves images at an address; without a `password` to everybody, with `tls` as HTTPS alone."""

    def __init__(
        self, address: tuple[str, int], images: Images, *, password: str | None, tls: ssl.SSLContext | None
    ) -> None:
        self.images = images
        self.password = password
        self.served = Served()
        self._counting = threading.Lock()
        try:
            super().__init__(address, _Handler, tls)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {address[0]}, port {address[1]}: {error.strerror}",
                hint="choose another address with --listen ADDRESS:PORT",
            ) from None

    def count(self, change: Callable[[Served], object]) -> None:
        """Change what was served, one thread at a time."""
        with self._counting:
            change(self.served)


class _Handler(BaseHTTPRequestHandler):
    server: RegistryServer
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE
    # Headers and content are sent one after the other: the second would wait for an answer to the first.
    disable_nagle_algorithm = True

    def version_string(self) -> str:
        """Who answers."""
        return "drkit"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _refuse_to_write(self) -> None:
        # What comes with it is not read but for a little: who still sends may miss the answer otherwise.
        length = self.headers.get("Content-Length", "0")
        self.rfile.read(min(int(length), _LITTLE) if length.isascii() and length.isdecimal() else 0)
        self.close_connection = True
        message = "this registry is read-only: it shows a recovery point"
        self._send(_error(HTTPStatus.METHOD_NOT_ALLOWED, "UNSUPPORTED", message))

    do_POST = do_PUT = do_PATCH = do_DELETE = _refuse_to_write  # noqa: N815 - http.server's names

    def _answer(self) -> None:
        if not self._allowed():
            said = _error(HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED", "a password is needed")
            self._send(_with(said, ("WWW-Authenticate", 'Basic realm="drkit"')))
            return
        request = requests.parse(self.path)
        try:
            answer = _not_found("it") if request is None else self._reply(request)
        except WrongBytes as error:
            self._wrong(error)
            answer = _error(HTTPStatus.INTERNAL_SERVER_ERROR, "UNKNOWN", error.message)
        except DrkitError as error:
            log.error("%s %s: %s", self.command, self.path, error.message)
            answer = _error(HTTPStatus.INTERNAL_SERVER_ERROR, "UNKNOWN", error.message)
        self._send(answer)

    def _allowed(self) -> bool:
        password = self.server.password
        if password is None:
            return True
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        try:
            said = base64.b64decode(given, validate=True).partition(b":")[2]
        except ValueError:
            return False
        return scheme.lower() == "basic" and hmac.compare_digest(said, password.encode())

    def _reply(self, request: Request) -> _Answer:
        if request.repository and not self.server.images.serves(request.repository):
            return _not_found(request.repository)
        replies: dict[requests.Kind, Callable[[Request], _Answer]] = {
            "base": lambda _request: _Answer(HTTPStatus.OK, body=b"{}"),
            "catalog": self._catalog,
            "tags": self._tags,
            "referrers": self._referrers,
            "manifest": self._manifest,
            "blob": self._blob,
        }
        return replies[request.kind](request)

    def _catalog(self, request: Request) -> _Answer:
        found = self.server.images.names.repositories(request.after, request.most)
        shown = [name for name in found if self.server.images.serves(name)]
        return _page("/v2/_catalog", "repositories", shown, found, request)

    def _tags(self, request: Request) -> _Answer:
        found = self.server.images.names.tags(request.repository, request.after, request.most)
        if not found and not request.after:
            return _not_found(request.repository)
        path = f"/v2/{request.repository}/tags/list"
        return _page(path, "tags", found, found, request, name=request.repository)

    def _referrers(self, request: Request) -> _Answer:
        found = self.server.images.referrers(request.repository, request.reference)
        filtered = (("OCI-Filters-Applied", "artifactType"),) if request.artifact_type else ()
        body = requests.referrers(found, request.artifact_type)
        return _Answer(HTTPStatus.OK, requests.media_type(body), body, filtered)

    def _manifest(self, request: Request) -> _Answer:
        images, digest = self.server.images, request.reference
        if not request.by_digest:
            digest = images.names.digest(request.repository, request.reference) or ""
        data = images.manifest(request.repository, digest) if digest else None
        if data is None:
            where = "@" if request.by_digest else ":"
            return _not_found(f"{request.repository}{where}{request.reference}", "MANIFEST_UNKNOWN")
        if self.command == "GET":
            self.server.count(lambda served: setattr(served, "manifests", served.manifests + 1))
        headers = (("Docker-Content-Digest", digest), ("ETag", f'"{digest}"'))
        return _Answer(HTTPStatus.OK, requests.media_type(data), data, headers)

    def _blob(self, request: Request) -> _Answer:
        images = self.server.images
        blob = images.blob(request.repository, request.reference)
        if blob is None:
            return _not_found(request.reference, "BLOB_UNKNOWN")
        kind = "application/octet-stream"
        headers: tuple[tuple[str, str], ...] = (
            ("Docker-Content-Digest", blob.digest),
            ("Accept-Ranges", "bytes"),
        )
        try:
            part = byte_range.start_of(self.headers.get("Range"), blob.size)
        except ValueError:
            said = _error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "SIZE_INVALID", "no such range")
            return _with(said, ("Content-Range", f"bytes */{blob.size}"))
        if self.command == "HEAD":
            return _Answer(HTTPStatus.OK, kind, b"", headers, (), blob.size)
        first, end = part or (0, blob.size)
        pieces = images.pieces(blob, first, end)
        status = HTTPStatus.OK
        if part:
            images.prove(blob)
            status = HTTPStatus.PARTIAL_CONTENT
            headers = (*headers, ("Content-Range", f"bytes {first}-{end - 1}/{blob.size}"))
        self.server.count(lambda served: setattr(served, "blobs", served.blobs + 1))
        return _Answer(status, kind, b"", headers, pieces, end - first)

    def _send(self, answer: _Answer) -> None:
        """Send it; where its content turns out to be wrong the connection ends before the last of it."""
        length = len(answer.body) if answer.pieces is None else answer.length
        pieces = iter([answer.body] if answer.pieces is None else answer.pieces)
        if self.command == "HEAD":
            pieces = iter(())
        try:
            # Of what is small all is known before a word is said.
            first = next(pieces, b"")
        except DrkitError as error:
            self._wrong(error)
            self._send(_error(HTTPStatus.INTERNAL_SERVER_ERROR, "UNKNOWN", error.message))
            return
        self.send_response(answer.status)
        for name, value in (("Docker-Distribution-API-Version", "registry/2.0"), *answer.headers):
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        sent = 0
        try:
            for piece in _chain(first, pieces):
                self.wfile.write(piece)
                sent += len(piece)
        except DrkitError as error:
            self._wrong(error)
            self.close_connection = True
        if answer.pieces is not None:
            self.server.count(lambda served: setattr(served, "bytes", served.bytes + sent))

    def _wrong(self, error: DrkitError) -> None:
        log.error("refused: %s", error.message)
        self.server.count(lambda served: served.refused.add(error.message))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """With --verbose alone."""
        log.debug("%s %s", self.address_string(), format % args)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _error(status: HTTPStatus, code: str, message: str) -> _Answer:
    return _Answer(status, body=requests.error(code, message))


def _not_found(what: str, code: str = "NAME_UNKNOWN") -> _Answer:
    return _error(HTTPStatus.NOT_FOUND, code, f"{what} is not in this recovery point")


def _with(answer: _Answer, header: tuple[str, str]) -> _Answer:
    return _Answer(answer.status, answer.content_type, answer.body, (*answer.headers, header))


def _page(path: str, key: str, shown: list[str], found: list[str], request: Request, **more: str) -> _Answer:
    """A page of a list, and where the next one is."""
    headers: tuple[tuple[str, str], ...] = ()
    if len(found) == request.most and found:
        query = urlencode({"last": found[-1], "n": request.most}, quote_via=quote)
        headers = (("Link", f'<{path}?{query}>; rel="next"'),)
    return _Answer(HTTPStatus.OK, body=json.dumps({**more, key: shown}).encode(), headers=headers)
