"""What a look at a site is written to: metrics, the status page, and what the daemon serves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from drkit import config
from drkit.actions.status import ahead
from drkit.actions.status.look import Look
from drkit.errors import ConfigError, Failure
from drkit.files import make_directory, replace_file
from drkit.logs import redact
from drkit.model import Status
from drkit.reports import charts, metrics, sentences
from drkit.state.directory import State

METRICS_FILE, PAGE_FILE, VERDICT_FILE = "metrics.prom", "status.html", "status.json"


def publish(settings: config.Config, seen: Look) -> None:
    """Write all of it, each whether or not another can be written; raises the first ConfigError."""
    failed: list[Failure] = []
    for write in _writes(settings, seen):
        try:
            write()
        except Failure as error:
            failed.append(error)
    if failed:
        raise failed[0]


def page(settings: config.Config, seen: Look) -> str:
    """The status page of what was seen."""
    # Loaded here: metrics alone need no templates.
    from drkit.reports import status_page

    schedule, site, status = settings.schedule, settings.site.name, seen.status
    due = ahead.days(schedule, site, status.at, charts.AHEAD)
    return status_page.render(status, seen.points, seen.history, due, schedule.zone)


def _writes(settings: config.Config, seen: Look) -> Iterator[Callable[[], None]]:
    text = metrics.render(seen.status, seen.history)
    if settings.metrics:
        textfile = settings.metrics.textfile
        yield lambda: metrics.write(textfile, text)
    if settings.status.page or settings.status.listen:
        from drkit.reports import status_page

        html = page(settings, seen)
        if file := settings.status.page:
            yield lambda: status_page.write(file, html)
        if settings.status.listen:
            yield lambda: _for_daemon(State(settings.site.state).published, text, html, seen.status)


def _for_daemon(directory: Path, text: str, html: str, found: Status) -> None:
    try:
        make_directory(directory, 0o700, exist_ok=True)
        replace_file(directory / METRICS_FILE, text)
        replace_file(directory / PAGE_FILE, html)
        # Last: its age is that of all three.
        replace_file(directory / VERDICT_FILE, json.dumps(verdict(found)))
    except OSError as error:
        said = f"cannot write {directory}: {error.strerror}"
        raise ConfigError(said, hint="see state in [site]") from None


def verdict(found: Status) -> dict[str, object]:
    """What keeps a site from being green, in short."""
    return {
        "site": found.site,
        "green": found.green,
        "at": found.at.isoformat(timespec="seconds"),
        "verdict": sentences.verdict(found),
        "missed": list(found.missed),
        "red": [redact(problem.message) for problem in found.red],
        "warnings": [redact(problem.message) for problem in found.findings if not problem.red],
    }
