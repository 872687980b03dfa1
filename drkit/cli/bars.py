"""Bars on a terminal: what is under way, how far, how fast, and how long it still takes."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from drkit.progress import Update
from drkit.reports.units import amount, how_far

# How wide a bar is on a terminal of at least so many columns.
_BARS = ((110, 30), (80, 10))
# What the words beside a name need: how far, how fast, how long.
_BESIDE = 46
# On less than that there is room for a percentage alone.
_NARROW = 66


class Bars:
    """One line for each piece of work; they are gone when they are done."""

    def __init__(self, stream: TextIO, command: str) -> None:
        # One line each, whatever the width: a line that wraps could not be drawn over.
        console = Console(file=stream, highlight=False, markup=False)
        spinner = "dots" if console.encoding.startswith("utf") else "line"
        self._narrow = console.width < _NARROW
        wide = next((wide for least, wide in _BARS if console.width >= least), 0)
        bar = (BarColumn(wide),) if wide else ()
        columns = (
            SpinnerColumn(spinner),
            TextColumn("{task.description}", markup=False),
            *bar,
            TextColumn("{task.fields[said]}", markup=False),
            *(() if self._narrow else (_Rate(Column(no_wrap=True)),)),
            _Time(Column(no_wrap=True)),
        )
        beside = 20 if self._narrow else _BESIDE
        self._room = max(8, console.width - 2 - (wide + 1 if wide else 0) - beside)
        self._progress = Progress(*columns, console=console, transient=True, redirect_stdout=False)
        self._tasks: dict[str, TaskID] = {}
        self._whole = self._progress.add_task(self._shortened(command), total=None, said="under way")
        self._progress.start()

    def show(self, update: Update) -> None:
        """Draw how far a piece of work is, or take its line away."""
        if update.finished:
            task = self._tasks.pop(update.stage, None)
            if task is not None:
                self._progress.remove_task(task)
        else:
            self._update(update)
        self._progress.update(self._whole, visible=not self._tasks)

    def _update(self, update: Update) -> None:
        if update.stage not in self._tasks:
            name = self._shortened(update.stage)
            self._tasks[update.stage] = self._progress.add_task(name, total=None, said="", unit=update.unit)
        self._progress.update(
            self._tasks[update.stage],
            completed=update.done,
            total=update.total or None,
            said=self._said(update),
            unit=update.unit,
        )

    def _said(self, update: Update) -> str:
        if self._narrow and update.total:
            return f"{update.done / update.total:.0%}"
        return how_far(update.done, update.total, update.unit)

    def print_above(self, line: str) -> None:
        """A line of the log, above the bars."""
        self._progress.console.print(Text(line), soft_wrap=True)

    def erase(self) -> None:
        """Take all of it away."""
        self._progress.stop()

    def _shortened(self, name: str) -> str:
        """Of a long path the end tells most."""
        if len(name) <= self._room:
            return name
        return f"...{name[3 - self._room :]}" if "/" in name else f"{name[: self._room - 3]}..."


class _Rate(ProgressColumn):
    """So much a second, for what is measured."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed or task.fields.get("unit", "") in ("", "seconds"):
            return Text()
        return Text(f"{amount(speed, task.fields['unit'])}/s", style="progress.data.speed")


class _Time(ProgressColumn):
    """What remains; where nobody knows, how long it takes already."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        if task.total is not None and task.time_remaining is not None:
            return Text(f"{_clock(task.time_remaining)} left", style="progress.remaining")
        return Text(_clock(task.elapsed or 0), style="progress.elapsed")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
