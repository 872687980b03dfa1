"""A server that takes messages as apprise sends them to `json://`, and keeps them."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Self


class Inbox:
    """Listens on a free port of this machine while the block runs."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.bodies: list[str] = []
        # What it answers; another than 200 refuses.
        self.answer = 200
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                said = json.loads(self.rfile.read(length))
                if inbox.answer == 200:
                    inbox.titles.append(said["title"])
                    inbox.bodies.append(said["message"])
                self.send_response(inbox.answer)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def port(self) -> int:
        return self._server.server_port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
