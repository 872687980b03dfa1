"""Progress on stderr: bars on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from drkit import logs, progress
from drkit.progress import Update
from drkit.reports.units import how_far

if TYPE_CHECKING:
    from drkit.cli.bars import Bars

log = logging.getLogger(__name__)

# Short work needs no bar; in a log, a line every half minute is enough.
_PATIENCE_SECONDS = 1.0
_LINE_SECONDS = 30.0


class Watcher:
    """A progress listener for one command; called from several threads.

    Where nobody can be told, because the terminal or the reader is gone, the work goes on all the same.
    """

    def __init__(
        self,
        stream: TextIO,
        command: str,
        *,
        patience: float = _PATIENCE_SECONDS,
        between_lines: float = _LINE_SECONDS,
    ) -> None:
        self._patience, self._between_lines = patience, between_lines
        self._stream = stream
        self._command = command
        # A bar would stand between lines of JSON.
        self._drawn = stream.isatty() and not logs.as_json()
        self._started = time.monotonic()
        self._lock = threading.RLock()
        self._bars: Bars | None = None
        self._held = False
        self._lines: dict[str, float] = {}
        self._stack = ExitStack()

    @property
    def wants_totals(self) -> bool:
        """Only a terminal shows what remains."""
        return self._drawn

    def __enter__(self) -> Watcher:
        if self.wants_totals:
            # What reports nothing is seen to be under way all the same.
            patience = threading.Timer(self._patience, self._draw)
            patience.daemon = True
            patience.start()
            self._stack.callback(patience.cancel)
            self._stack.enter_context(progress.drawn(self._hold))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        with self._lock:
            self._held = True
            self._erase()

    def __call__(self, update: Update) -> None:
        """Take one update."""
        if time.monotonic() - self._started < self._patience and not update.finished:
            return
        with self._lock, contextlib.suppress(OSError):
            if self._drawn:
                self._draw(update)
            else:
                self._say(update)

    def _draw(self, update: Update | None = None) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._held or (self._bars is None and update is not None and update.finished):
                return
            if self._bars is None:
                from drkit.cli.bars import Bars

                self._bars = Bars(self._stream, self._command)
                logs.write_through(self._bars.print_above)
            if update is not None:
                self._bars.show(update)

    def _erase(self) -> None:
        if self._bars is not None:
            logs.write_through(None)
            with contextlib.suppress(OSError):
                self._bars.erase()
            self._bars = None

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """Nothing is drawn while somebody is asked; then the next update draws anew."""
        with self._lock:
            self._held = True
            self._erase()
        try:
            yield
        finally:
            self._held = False

    def _say(self, update: Update) -> None:
        now = time.monotonic()
        if update.finished or now - self._lines.get(update.stage, self._started) < self._between_lines:
            return
        self._lines[update.stage] = now
        said = f"{update.stage}: {how_far(update.done, update.total, update.unit)}"
        if logs.as_json():
            log.info("%s", said, extra={logs.FIELDS: _fields(update)})
        else:
            print(said, file=self._stream, flush=True)


def _fields(update: Update) -> dict[str, object]:
    """How far something is, for a line of JSON."""
    return {
        "drkit.stage": update.stage,
        "drkit.progress.done": update.done,
        "drkit.progress.total": update.total or None,
        "drkit.progress.unit": update.unit,
    }
