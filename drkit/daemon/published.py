"""What the scheduler publishes: the files that the last look at the site has written, and what is answered.

It looks at nothing itself: `refresh` has it done by another process, at most once in a while and only where
somebody asks. Anybody on this machine may ask; nothing can be changed by asking.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

from drkit.errors import DrkitError

log = logging.getLogger(__name__)

HTML, JSON = "text/html; charset=utf-8", "application/json"
TEXT = "text/plain; charset=utf-8"
# Prometheus's text format; its library would be loaded for this line alone.
METRICS = "text/plain; version=0.0.4; charset=utf-8"
# Prometheus gives up after ten seconds: then it gets what there is.
_PATIENCE_SECONDS = 8.0
# The loop looks each second, and says so each twenty.
_DEAD_SECONDS = 120.0


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
