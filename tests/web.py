"""A service of the web that is told something: keeps what comes, answers as it is told, or hangs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    body: bytes
    headers: Mapping[str, str]


class Service:
    """Listens on a free port of this machine while the block runs; `answers` are given in turn, then 200.

    Where it `hangs`, it takes each request and says nothing until the block ends. Where it is `endless`, what
    it answers has no end.
    """

    def __init__(self, *answers: int, hangs: bool = False, endless: bool = False) -> None:
        self.asked: list[Asked] = []
        left = list(answers)
        over = self._over = threading.Event()
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked.append(Asked(self.path, body, dict(self.headers)))
                if hangs:
                    over.wait()
                self.send_response(left.pop(0) if left else 200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    while endless and not over.is_set():
                        self.wfile.write(b"x" * 65536)

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
