"""An HTTP server of our own: a thread a connection, so many at once, and all are cut when it ends."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

log = logging.getLogger(__name__)

_HANDSHAKE_SECONDS = 10.0
# More at once wait until one of them has ended.
_CONNECTIONS = 256


class Server(ThreadingHTTPServer):
    """Listens at an address (port 0: any that is free), with `tls` for HTTPS alone; raises OSError."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._changing = threading.Lock()
        self._room = threading.BoundedSemaphore(_CONNECTIONS)
        super().__init__(address, handler)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own; where there is no room for long, it is closed."""
        if self._room.acquire(timeout=_HANDSHAKE_SECONDS):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """What such a thread does."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands here, and not where all connections are accepted: a slow client delays nobody else."""
        if self._tls is None:
            self._converse(request, client_address)
            return
        request.settimeout(_HANDSHAKE_SECONDS)
        with self._tls.wrap_socket(request, server_side=True) as secured:
            self._converse(secured, client_address)

    def _converse(self, connection: socket.socket, client_address: Any) -> None:
        with self._changing:
            self._open.add(connection)
        try:
            super().finish_request(connection, client_address)
        finally:
            with self._changing:
                self._open.discard(connection)

    def cut(self) -> None:
        """End all connections: whoever reads for one lets go of its files then."""
        with self._changing:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """A client that goes away, or speaks no TLS, is none of our errors."""
        log.debug("the connection of %s ended in an error", client_address[0], exc_info=True)


@contextmanager
def running(server: Server) -> Iterator[None]:
    """Serve until the block ends; connections that are open then are cut."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.cut()
        with suppress(OSError):
            server.server_close()
