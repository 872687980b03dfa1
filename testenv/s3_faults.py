"""Something between a client and an S3 service, on 127.0.0.1: it counts requests, and lets some go wrong.

It hands on what it gets as it is, the Host header too, so that signatures stay right.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

_PIECE = 1 << 16
# These are of one connection, and not handed on.
_HOP = frozenset(("connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"))


class Request(NamedTuple):
    """What was asked: the method, the path with its query, and which one it is, counted from 1."""

    method: str
    path: str
    number: int

    @property
    def lists(self) -> bool:
        """Whether it asks what is there."""
        query = urlsplit(self.path).query
        return self.method == "GET" and ("list-type=2" in query or "versions" in query)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    With a `status` it does not reach the service, and is answered by that, with S3's `code`; with `drop` the
    connection breaks instead. Either may come `late`, when the service has done what it was asked. Else its
    answer breaks off after `cut` bytes of the body: with the connection, or, if `truncated`, at what looks
    like its end; or `change` makes another body of it. `delay` seconds pass before either.
    """

    status: int | None = None
    code: str = "InternalError"
    cut: int | None = None
    truncated: bool = False
    delay: float = 0.0
    drop: bool = False
    late: bool = False
    change: Callable[[bytes], bytes] | None = None


Plan = Callable[[Request], Fault | None]


@dataclass
class Between:
    """A running proxy: where it is, what came through so far, and what is to go wrong from now on."""

    endpoint: str
    seen: list[Request] = field(default_factory=list)
    plan: Plan = lambda _request: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, method: str, path: str) -> Request:
        """Count a request."""
        with self.lock:
            request = Request(method, path, len(self.seen) + 1)
            self.seen.append(request)
        return request

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[Request]]:
        """The requests that come while this lasts; complete when it ends."""
        start, found = len(self.seen), list[Request]()
        yield found
        found += self.seen[start:]


@contextlib.contextmanager
def between(endpoint: str, certificate: tuple[Path, Path] | None = None) -> Iterator[Between]:
    """A proxy in front of the service at `endpoint`, for as long as this lasts.

    With a `certificate` and its key it is spoken to over TLS.
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    server.upstream = urlsplit(endpoint).netloc
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if certificate is None else "https"
    server.proxy = Between(f"{scheme}://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    upstream: str
    proxy: Between


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        """Hand it on, or let it go wrong."""
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        fault = self.server.proxy.plan(self.server.proxy.take(self.command, self.path)) or Fault()
        time.sleep(fault.delay)
        refused = fault.drop or fault.status is not None
        if refused and not fault.late:
            self._refuse(fault)
            return
        with contextlib.closing(HTTPConnection(self.server.upstream, timeout=120)) as upstream:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in (*_HOP, "expect"):
                    upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            if refused:
                answer.read()
                self._refuse(fault)
                return
            self._answer(answer, fault)

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815 - the library's names

    def _refuse(self, fault: Fault) -> None:
        if fault.status is None:
            self.close_connection = True
            return
        said = f"<Error><Code>{fault.code}</Code><Message>said by the proxy</Message></Error>".encode()
        self.send_response(fault.status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said)

    def _answer(self, answer: HTTPResponse, fault: Fault) -> None:
        # HEAD has a length and no body; what has none is read whole, so that it gets one.
        told = answer.headers.get("Content-Length")
        whole = answer.read() if told is None or fault.change is not None else None
        if whole is not None and fault.change is not None:
            whole = fault.change(whole)
        length = len(whole) if whole is not None else int(told or 0)
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in (*_HOP, "content-length"):
                self.send_header(name, value)
        short = fault.cut if fault.truncated and fault.cut is not None else length
        self.send_header("Content-Length", str(min(length, short)))
        self.end_headers()
        left = length if fault.cut is None else min(length, fault.cut)
        while left and self.command != "HEAD":
            piece = whole if whole is not None else answer.read(min(_PIECE, left))
            assert piece is not None
            self.wfile.write(piece[:left])
            left -= len(piece[:left])
        if fault.cut is not None and not fault.truncated:
            self.wfile.flush()
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def handle(self) -> None:
        """A client that goes away is its own business."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Nothing is said: the tests look at what was seen."""
