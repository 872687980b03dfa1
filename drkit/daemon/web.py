"""The status page, the verdict and the metrics over HTTP, on a loopback port or a Unix socket."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from drkit.config.fields import Listen
from drkit.daemon.published import Published, answer
from drkit.errors import ConfigError
from drkit.files import make_directory

log = logging.getLogger(__name__)

# Whoever is answered when the scheduler ends may have that long to go.
_PARTING_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """How much of the server those who connect may take, since anybody on this machine may, in seconds.

    `connections` are those at a time, a thread each. `longest` is how long one may take: a byte now and then
    keeps it no longer. Where all are taken, the oldest makes room once it has taken `long`: /healthz must be
    answered.
    """

    connections: int = 32
    longest: float = 20.0
    long: float = 1.0


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD, and nothing else."""

    server_version, sys_version = "drkit", ""
    timeout = 10
    published: ClassVar[Published]

    def do_GET(self) -> None:
        """Answer with a body."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Answer without."""
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        found = answer(self.path, self.published)
        self.send_response(found.status)
        self.send_header("Content-Type", found.kind)
        self.send_header("Content-Length", str(len(found.body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if body:
            self.wfile.write(found.body)

    def address_string(self) -> str:
        """Who asks; at a Unix socket nobody has an address."""
        return str(self.client_address[0]) if self.client_address else "socket"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing of requests: they come each few seconds."""
        log.debug(format, *args)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    # Who comes while all threads are taken waits; at a Unix socket the kernel would turn him away at once.
    request_queue_size = 128

    def __init__(self, listen: Listen, handler: type[_Handler], limits: Limits) -> None:
        self._limits = limits
        self._slots = threading.BoundedSemaphore(limits.connections)
        self._open: dict[socket.socket, float] = {}
        self._opening = threading.Lock()
        self._path: Path | None = None
        self._bound = False
        if isinstance(listen, Path):
            self.address_family = socket.AF_UNIX
            self._path = listen
            super().__init__(str(listen), handler)  # type: ignore[arg-type]  # an address of that family
        else:
            self.address_family = socket.AF_INET6 if ":" in listen[0] else socket.AF_INET
            super().__init__(listen, handler)

    def server_bind(self) -> None:
        """Bind, without asking for the name of this machine."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._path is not None:
            # What is below /run is gone after each start of the machine.
            with contextlib.suppress(FileExistsError):
                make_directory(self._path.parent, 0o755)
            _take_over(self._path)
        self.socket.bind(str(self._path) if self._path else self.server_address)
        self._bound = True
        if self._path is not None:
            # As the metrics file: whoever is on this machine may read it.
            self._path.chmod(0o666)
        self.server_name, self.server_port = "drkit", 0

    def process_request(self, request: object, client_address: object) -> None:
        """Answer in a thread; where all are busy, instead of the oldest, or hang up."""
        assert isinstance(request, socket.socket)
        if not self._slots.acquire(blocking=False):
            self._hang_up(self._limits.long, at_most=1)
            if not self._slots.acquire(timeout=0.5):
                self.shutdown_request(request)
                return
        with self._opening:
            self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Answer; whoever comes next may then."""
        assert isinstance(request, socket.socket)
        try:
            self.finish_request(request, client_address)
        except Exception:  # noqa: BLE001 - one of them ends no other
            self.handle_error(request, client_address)
        finally:
            # Before it is closed: what is closed must not be hung up on.
            with self._opening:
                self._open.pop(request, None)
            self.shutdown_request(request)
            self._slots.release()

    def service_actions(self) -> None:
        """Twice a second: hang up on who takes too long, byte by byte as well."""
        self._hang_up(self._limits.longest)

    def _hang_up(self, seconds: float, at_most: int | None = None) -> None:
        """Of those that have been connected for so long, the oldest first; their threads then end."""
        with self._opening:
            now = time.monotonic()
            late = [request for request, began in self._open.items() if now - began > seconds]
            for request in late[:at_most]:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - http.server's
        """Log it: who asks has gone, as a rule."""
        log.debug("a request was not answered", exc_info=True)

    def server_close(self) -> None:
        """Close, hang up on who is still connected, and leave no socket of ours behind."""
        super().server_close()
        self._hang_up(0.0)
        end = time.monotonic() + _PARTING_SECONDS
        for _ in range(self._limits.connections):
            self._slots.acquire(timeout=max(0.0, end - time.monotonic()))
        if self._path is not None and self._bound:
            self._path.unlink(missing_ok=True)


def _take_over(path: Path) -> None:
    """Remove a socket that a killed daemon has left; raises OSError where somebody listens, or it is none."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "it is there, and no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        # Where nobody accepts, a connection waits.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            pass
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


@contextlib.contextmanager
def serving(listen: Listen, published: Published, limits: Limits = Limits()) -> Iterator[str]:
    """Serve until the block ends; gives the address. Raises ConfigError where that is not possible."""
    handler = type("Handler", (_Handler,), {"published": published})
    where = str(listen) if isinstance(listen, Path) else f"{listen[0]}:{listen[1]}"
    try:
        server = _Server(listen, handler, limits)
    except OSError as error:
        said = f"the status page cannot be served at {where}: {error.strerror}"
        raise ConfigError(said, hint="see listen in [status]") from None
    thread = threading.Thread(target=server.serve_forever, name="status page", daemon=True)
    thread.start()
    log.info("the status page is at %s", where)
    try:
        yield where
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Service:
    """Serves until `stack` is closed, as soon as that is possible."""

    listen: Listen
    published: Published
    stack: contextlib.ExitStack
    _serving: bool = False
    _said: str = ""

    def keep(self) -> None:
        """Serve, if that is not so yet, and say that the loop goes round.

        Raises ConfigError where it cannot be served, once for each reason.
        """
        self.published.beat()
        if self._serving:
            return
        try:
            self.stack.enter_context(serving(self.listen, self.published))
            self._serving = True
        except ConfigError as error:
            if error.message != self._said:
                self._said = error.message
                raise
