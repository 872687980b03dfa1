"""The bucket itself: served on a port of this machine to whoever has its name and its key, and never written.

Nobody else on the machine has them: both are made of 128 random bits, and stand in a file of the sandbox that
its owner alone may read. What goes over the loopback interface only root can see.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from drkit.blobs.vault.data import VaultData
from drkit.errors import DrkitError, Interrupted, ToolFailed
from drkit.logs import register_secret
from drkit.registry import storage
from drkit.sandbox.s3 import requests, tree
from drkit.sandbox.s3.requests import Key, Request
from drkit.tools import byte_range
from drkit.tools.http_server import Server, running

log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 60.0
_LITTLE = 64 << 10
_HOST = "127.0.0.1"


@dataclass(frozen=True)
class TreeBucket:
    """A bucket that shows the storage tree below `root`; the bytes of blobs come from the vault."""

    server: _Server

    @property
    def settings(self) -> Mapping[str, Any]:
        """What distribution's configuration says of it."""
        return {
            "s3": {
                "accesskey": self.server.key_id,
                "secretkey": self.server.secret,
                "region": "us-east-1",
                "regionendpoint": f"http://{_HOST}:{self.server.port}",
                "forcepathstyle": True,
                "secure": False,
                "bucket": self.server.bucket,
            },
            # Clients are served by the registry itself, and not sent on to the bucket.
            "redirect": {"disable": True},
        }

    @property
    def gone(self) -> str:
        """Why the vault could not be read any more; empty as long as it could."""
        return self.server.gone


@contextlib.contextmanager
def serving(root: Path, data: VaultData) -> Iterator[TreeBucket]:
    """The bucket, until the block ends; raises ToolFailed."""
    try:
        server = _Server(root, data)
    except OSError as error:
        raise ToolFailed(f"cannot listen on {_HOST}: {error.strerror}") from None
    with running(server):
        yield TreeBucket(server)


class _Server(Server):
    def __init__(self, root: Path, data: VaultData) -> None:
        self.root = root
        self.data = data
        self.bucket = secrets.token_hex(16)
        self.key_id = register_secret(secrets.token_hex(16))
        self.secret = register_secret(secrets.token_hex(16))
        self.gone = ""
        super().__init__((_HOST, 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE_SECONDS
    # Headers and content are sent one after the other: the second would wait for an answer to the first.
    disable_nagle_algorithm = True

    def version_string(self) -> str:
        """Who answers."""
        return "drkit"

    def do_GET(self) -> None:
        request = self._request()
        if request is None:
            self._refuse(HTTPStatus.FORBIDDEN, "AccessDenied", "this bucket is another's")
        elif request.key:
            self._object(request.key)
        elif request.delimiter in ("", "/"):
            found = tree.keys(self.server.root, request.prefix, request.delimiter, request.after)
            self._say(HTTPStatus.OK, requests.listing(self.server.bucket, request, found))
        else:
            self._refuse(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", "keys are cut at slashes")

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def _refuse_to_write(self) -> None:
        # Of what comes with it little is read: who still sends may miss the answer otherwise.
        length = self.headers.get("Content-Length", "0")
        self.rfile.read(min(int(length), _LITTLE) if length.isascii() and length.isdecimal() else 0)
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "MethodNotAllowed", "this bucket can only be read")

    do_POST = do_PUT = do_PATCH = do_DELETE = _refuse_to_write  # noqa: N815 - http.server's names

    def _request(self) -> Request | None:
        """What is asked, if whoever asks may."""
        given = requests.key_id(self.headers.get("Authorization", ""))
        if not hmac.compare_digest(given.encode(), self.server.key_id.encode()):
            return None
        return requests.parse(self.path, self.server.bucket)

    def _object(self, name: str) -> None:
        key = tree.find(self.server.root, name)
        if key is None or key.size is None:
            self._refuse(HTTPStatus.NOT_FOUND, "NoSuchKey", "there is no such key", keep=True)
            return
        try:
            part = byte_range.start_of(self.headers.get("Range"), key.size)
        except ValueError:
            status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
            self._refuse(status, "InvalidRange", "there is no such range", keep=True)
            return
        first, end = part or (0, key.size)
        pieces: Iterator[bytes] = iter(())
        try:
            if self.command != "HEAD":
                pieces = self._pieces(key, first)
            # What cannot be read at all is told before a word is said.
            begin = next(pieces, b"")
        except DrkitError as error:
            self._note(error)
            # Not one that the client tries again.
            self._refuse(HTTPStatus.BAD_REQUEST, "VaultFailed", "the vault cannot be read")
            return
        self.send_response(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK)
        if part:
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{key.size}")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(end - first))
        self.send_header("Last-Modified", formatdate(key.modified, usegmt=True))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command != "HEAD":
            self._send(begin, pieces, end - first)

    def _send(self, begin: bytes, pieces: Iterator[bytes], left: int) -> None:
        """Send so many bytes; where there are less the connection ends before the last of them."""
        try:
            while begin and left:
                begin = begin[:left]
                self.wfile.write(begin)
                left -= len(begin)
                begin = next(pieces, b"") if left else b""
        except DrkitError as error:
            self._note(error)
        if left:
            self.close_connection = True

    def _pieces(self, key: Key, first: int) -> Iterator[bytes]:
        digest = storage.digest_of_blob(f"/{key.name}")
        if digest is not None:
            if self.server.gone:
                # It has been asked often enough, which takes minutes.
                raise ToolFailed(self.server.gone)
            return self.server.data.read(digest, first)
        try:
            return iter([(self.server.root / key.name).read_bytes()[first:]])
        except OSError as error:
            raise ToolFailed(f"cannot read {key.name}: {error.strerror}") from None

    def _note(self, error: DrkitError) -> None:
        log.debug("%s: %s", self.path, error.message)
        if not isinstance(error, Interrupted):
            self.server.gone = self.server.gone or error.message

    def _refuse(self, status: HTTPStatus, code: str, message: str, *, keep: bool = False) -> None:
        self.close_connection = self.close_connection or not keep
        self._say(status, requests.error(code, message))

    def _say(self, status: HTTPStatus, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """With --verbose alone."""
        log.debug("%s %s", self.address_string(), format % args)
