"""Something between drkit and an S3 service that goes wrong when it is told to; over TLS if it is to.

with Proxy(endpoint) as proxy:
    proxy.add(Fault("GET /bucket/key", cut_after=1000))
    proxy.add(Fault("PUT", error=(503, "SlowDown"), times=3))
    proxy.plan = lambda request: Fault(drop=True) if request.number % 9 == 0 else None
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlsplit

_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "expect")
_PATIENCE = 30


@dataclass(frozen=True)
class Fault:
    """What happens to requests that begin with `where` (`GET /bucket`): to `times` of them, after `skip`.

    A plan says itself to which; the three then mean nothing.

    One of: an error instead of an answer (`error`: status and code), a connection that breaks before there is
    an answer (`drop`) or after so many bytes of its body (`cut_after`), a body that is changed on the way
    (`change`), an answer that takes so many seconds longer (`delay`). With `late` the service has done what
    it was asked before the error or the break. With `hold` none of it happens before that is set.
    """

    where: str = ""
    times: int = 1
    skip: int = 0
    error: tuple[int, str] | None = None
    drop: bool = False
    cut_after: int | None = None
    change: Callable[[bytes], bytes] | None = None
    delay: float = 0.0
    late: bool = False
    hold: threading.Event | None = None


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

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


Plan = Callable[[Request], Fault | None]


class Proxy:
    """A proxy on a free port of 127.0.0.1, for one service; `seen` are the requests that came, in order."""

    def __init__(self, endpoint: str, certificate: tuple[Path, Path] | None = None) -> None:
        self._upstream = urlsplit(endpoint).netloc
        self._faults: list[list[Fault | int]] = []
        self._lock = threading.Lock()
        self.seen: list[Request] = []
        self.plan: Plan = lambda _request: None
        self._under_way = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.endpoint = f"{'https' if certificate else 'http'}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def add(self, fault: Fault) -> None:
        """Let this go wrong from now on."""
        with self._lock:
            self._faults.append([fault, 0])

    @contextlib.contextmanager
    def watched(self) -> Iterator[list[Request]]:
        """The requests that come while this lasts; complete when it ends."""
        start, found = len(self.seen), list[Request]()
        yield found
        found += self.seen[start:]

    def fault_for(self, method: str, path: str) -> Fault | None:
        """What goes wrong with this request, if anything does."""
        with self._lock:
            request = Request(method, path, len(self.seen) + 1)
            self.seen.append(request)
            for entry in self._faults:
                fault, met = entry
                assert isinstance(fault, Fault)
                assert isinstance(met, int)
                if str(request).startswith(fault.where):
                    entry[1] = met + 1
                    if fault.skip <= met < fault.skip + fault.times:
                        return fault
        return self.plan(request)

    def under_way(self, change: int) -> None:
        """Count the requests that are under way."""
        with self._lock:
            self._under_way += change

    def idle(self) -> bool:
        """Whether the service has done all that it was asked; what is held back does not count."""
        return not self._under_way

    def forward(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the service itself: status, headers and body of its answer."""
        connection = http.client.HTTPConnection(self._upstream, timeout=_PATIENCE)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                if name.lower() not in _HOP_BY_HOP:
                    connection.putheader(name, value)
            if body or method in ("PUT", "POST"):
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # As many as a client may open at once: with Python's 5 the rest is tried again a second later.
    request_queue_size = 128
    proxy: Proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that closes its connection, or does not trust the certificate, is nothing to tell of."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(1 << 16)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        proxy = self.server.proxy
        proxy.under_way(1)
        try:
            self._answer(proxy)
        finally:
            proxy.under_way(-1)

    def _answer(self, proxy: Proxy) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            # Who sent it was killed on the way: a service stores nothing of it.
            self.close_connection = True
            return
        fault = proxy.fault_for(self.command, self.path) or Fault()
        if fault.hold is not None:
            proxy.under_way(-1)
            fault.hold.wait()
            proxy.under_way(1)
        time.sleep(fault.delay)
        if (fault.drop or fault.error) and not fault.late:
            self._refuse(fault)
            return
        status, headers, content = proxy.forward(self.command, self.path, self.headers.items(), body)
        if fault.drop or fault.error:
            self._refuse(fault)
            return
        content = fault.change(content) if fault.change else content
        length = len(content)
        if self.command == "HEAD" or status == 304:
            length = int({name.lower(): value for name, value in headers}.get("content-length", 0))
        self._send(status, headers, content, length, fault.cut_after)

    def _refuse(self, fault: Fault) -> None:
        if fault.error is None:
            self.close_connection = True
            return
        status, code = fault.error
        content = f"<Error><Code>{code}</Code><Message>as told</Message></Error>".encode()
        self._send(status, [("Content-Type", "application/xml")], content, len(content), None)

    def _send(
        self, status: int, headers: list[tuple[str, str]], content: bytes, length: int, cut: int | None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content[:cut] if self.command != "HEAD" else b"")
        if cut is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """What is said here nobody reads."""
