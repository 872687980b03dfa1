"""The status page, the verdict and the metrics over HTTP, on a loopback port or a Unix socket.

It serves what the last look at the site has written, and looks at nothing itself: `refresh` has it done by
another process, at most once in a while and only where somebody asks. Anybody on this machine may ask;
nothing can be changed by asking.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from drkit.config.fields import Listen
from drkit.errors import ConfigError, DrkitError
from drkit.files import make_directory

log = logging.getLogger(__name__)

HTML, JSON = "text/html; charset=utf-8", "application/json"
TEXT = "text/plain; charset=utf-8"
# Prometheus's text format; its library would be loaded for this line alone.
METRICS = "text/plain; version=0.0.4; charset=utf-8"
# Prometheus gives up after ten seconds: then it gets what there is.
_PATIENCE_SECONDS = 8.0
# The loop looks each second, and says so each twenty.
_DEAD_SECONDS = 120.0
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


@dataclass
class Published:
    """The files that the last look has written, and when to have it done again.

    `refresh` does it, in whichever process, and may raise DrkitError; `every` is how old they may become.
    """

    directory: Path
    every: timedelta
    refresh: Callable[[], None]
    page: str = "status.html"
    metrics: str = "metrics.prom"
    verdict: str = "status.json"
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _looking: threading.Thread | None = None
    _tried: float | None = None
    _beat: float = field(default_factory=time.monotonic)

    def beat(self, seconds: float = 0.0) -> None:
        """Say that the scheduler's loop goes round: now, or so many seconds from now."""
        self._beat = time.monotonic() + seconds

    @property
    def alive(self) -> bool:
        """Whether it has said so lately."""
        return time.monotonic() - self._beat < _DEAD_SECONDS

    @property
    def age(self) -> float | None:
        """How many seconds ago the files were written; None where they are not there."""
        with contextlib.suppress(OSError):
            return max(0.0, time.time() - (self.directory / self.verdict).stat().st_mtime)
        return None

    @property
    def stale(self) -> bool:
        """Whether what they say is too old to be believed: looking has failed, more than once."""
        age = self.age
        return age is None or age > 3 * self.every.total_seconds()

    def fresh(self) -> None:
        """See to it that they are as young as they must be, and wait for that a little."""
        with self._lock:
            age = self.age
            if age is not None and age < self.every.total_seconds():
                return
            if self._looking is None or not self._looking.is_alive():
                if self._tried is not None and time.monotonic() - self._tried < self._pause(age):
                    return
                self._tried = time.monotonic()
                self._looking = threading.Thread(target=self._look, name="look", daemon=True)
                self._looking.start()
            looking = self._looking
        looking.join(_PATIENCE_SECONDS)

    def _pause(self, age: float | None) -> float:
        """How long to wait before another try: a look that fails must not be tried at each request."""
        return min(60.0, self.every.total_seconds()) if age is None else self.every.total_seconds() / 4

    def _look(self) -> None:
        try:
            self.refresh()
        except (DrkitError, OSError) as error:
            log.warning("cannot look at the site: %s", error)

    def read(self, name: str) -> bytes | None:
        """One of the files; None where it is not there."""
        with contextlib.suppress(OSError):
            return (self.directory / name).read_bytes()
        return None


@dataclass(frozen=True)
class Answer:
    """What a request is answered with."""

    status: HTTPStatus
    kind: str
    body: bytes


def answer(path: str, published: Published) -> Answer:
    """What there is at a path.

    `/healthz` says whether the daemon lives, and is what may restart it: a missed objective must not.
    `/status` says whether the site is green.
    """
    match path.partition("?")[0]:
        case "/healthz":
            return _health(published)
        case "/status":
            published.fresh()
            return _verdict(published)
        case "/metrics":
            published.fresh()
            return _file(published, published.metrics, METRICS)
        case "/":
            published.fresh()
            return _file(published, published.page, HTML)
        case _:
            there = b"there is nothing here but /, /status, /healthz and /metrics\n"
            return Answer(HTTPStatus.NOT_FOUND, TEXT, there)


def _health(published: Published) -> Answer:
    known = _known(published)
    said = {
        "alive": published.alive,
        "green": None if published.stale else known.get("green"),
        "red": known.get("red", []),
        "at": known.get("at"),
    }
    status = HTTPStatus.OK if published.alive else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, JSON, json.dumps(said).encode())


def _verdict(published: Published) -> Answer:
    known = _known(published)
    if published.stale or not known:
        age = published.age
        said = "the site was never looked at" if age is None else f"the last look is {age:.0f} s old"
        body = {**known, "green": False, "verdict": f"unknown: {said}; drkit's log says why"}
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, JSON, json.dumps(body).encode())
    status = HTTPStatus.OK if known.get("green") is True else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, JSON, json.dumps(known).encode())


def _known(published: Published) -> dict[str, object]:
    try:
        found = json.loads(published.read(published.verdict) or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _file(published: Published, name: str, kind: str) -> Answer:
    body = published.read(name)
    # Metrics that are old say so themselves, and the page has a banner.
    if body is None:
        said = b"the site was not looked at yet; if this stays, drkit's log says why\n"
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, TEXT, said)
    return Answer(HTTPStatus.OK, kind, body)


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
