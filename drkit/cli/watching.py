"""Progress on stderr: bars on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from drkit.progress import Update
from drkit.reports.units import amount

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# Short work needs no bar; in a log, a line every half minute is enough.
_PATIENCE_SECONDS = 1.0
_LINE_SECONDS = 30.0


class Watcher:
    """A progress listener; called from several threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._lines: dict[str, float] = {}

    @property
    def wants_totals(self) -> bool:
        """Only a terminal shows what remains."""
        return self._stream.isatty()

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, update: Update) -> None:
        """Take one update."""
        if time.monotonic() - self._started < _PATIENCE_SECONDS:
            return
        with self._lock:
            if self._stream.isatty():
                self._draw(update)
            else:
                self._say(update)

    def _draw(self, update: Update) -> None:
        bars = self._bars or self._new_bars()
        if update.finished:
            task = self._tasks.pop(update.stage, None)
            if task is not None:
                bars.remove_task(task)
            return
        if update.stage not in self._tasks:
            self._tasks[update.stage] = bars.add_task(update.stage, total=update.total, said="")
        said = _said(update)
        bars.update(self._tasks[update.stage], completed=update.done, total=update.total, said=said)

    def _new_bars(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[said]}"),
            TimeRemainingColumn(compact=True),
        )
        self._bars = Progress(*columns, console=Console(file=self._stream), transient=True)
        self._bars.start()
        return self._bars

    def _say(self, update: Update) -> None:
        now = time.monotonic()
        if update.finished or now - self._lines.get(update.stage, self._started) < _LINE_SECONDS:
            return
        self._lines[update.stage] = now
        print(f"{update.stage}: {_said(update)}", file=self._stream, flush=True)


def _said(update: Update) -> str:
    if update.total:
        return f"{amount(update.done, update.unit)} of {amount(update.total, update.unit)}"
    return amount(update.done, update.unit) if update.done else "under way"
