"""The status of a site in words, for a screen, a page and a monitoring system alike; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from drkit.model import Attempt, CertificateFacts, Sizes, Status
from drkit.model.job import JOBS, is_run_of
from drkit.model.reread import Reread, StoreKind
from drkit.reports.units import counted, duration, size

OBJECTIVES = {
    "rpo": "newest point is",
    "rto": "recovery takes",
    "drill": "last passed drill was",
    "reread": "longest unread for",
}
# What follows runs, and is told of only where it fails.
_TELLING = ("notify", "metrics")
# Further away nothing has to be done about a certificate.
SOON = timedelta(days=60)


def verdict(status: Status) -> str:
    """The first line: `registry.example.com is green`, or what keeps it from being so."""
    if status.green:
        notes = len(status.findings)
        return f"{status.site} is green" + (f", with {counted(notes, 'warning')}" if notes else "")
    missed = [f"{', '.join(status.missed)} missed"] if status.missed else []
    red = [counted(len(status.red), "problem")] if status.red else []
    return f"{status.site} is not green: {', '.join([*missed, *red])}"


def ago(when: datetime | None, now: datetime) -> str:
    """`4 h 10 min ago`, `in 3 d 2 h`, `never`."""
    if when is None:
        return "never"
    seconds = (now - when).total_seconds()
    if abs(seconds) < 60:
        return "now"
    return f"{rough(seconds)} ago" if seconds > 0 else f"in {rough(-seconds)}"


def rough(seconds: float | None) -> str:
    """A duration without seconds where there are minutes: for a list."""
    if seconds is None or seconds < 60:
        return duration(seconds)
    if seconds > 30 * 86_400:
        return f"{round(seconds / 86_400)} d"
    return duration(round(seconds / 60) * 60)


@dataclass(frozen=True)
class RunLine:
    """A command: how its last run ended, and when it is due next; `state` is good, bad, running or none."""

    name: str
    state: str
    word: str
    at: datetime | None
    seconds: float | None
    next_at: datetime | None


def runs(status: Status) -> Iterator[RunLine]:
    """The last run of each command, and those that are on the schedule and never ran here."""
    due = {run.job: run.at for run in status.next_runs}
    jobs = {run: next((job for job in JOBS if is_run_of(run, job)), "") for run in status.runs}
    for run in sorted(status.runs, key=lambda each: each.key):
        if run.verb in _TELLING and run.good:
            continue
        state, word = _ended(run)
        at = run.began_at if run.running else run.ended_at or run.began_at
        yield RunLine(run.label, state, word, at, run.seconds, due.get(jobs[run]))
    for job, at in due.items():
        if job not in jobs.values():
            yield RunLine(job.replace("_", " "), "none", "never ran here", None, None, at)


def _ended(run: Attempt) -> tuple[str, str]:
    if run.running:
        return "running", "runs since"
    if run.good:
        return "good", "succeeded"
    return "bad", "never ended" if run.lost else "failed"


def sizes(found: Sizes) -> str:
    """The newest point's size, and how fast it grows."""
    said = size(found.bytes)
    if found.growth_per_week is not None:
        grows = "grows" if found.growth_per_week >= 0 else "shrinks"
        said += f", {grows} by {size(abs(found.growth_per_week))} a week"
    return f"{said}; {size(found.added_last_week)} stored in the last 7 days"


_STORES: dict[StoreKind, str] = {
    "packs": "repository {}",
    "vault": "vault {}",
    "blobs": "blobs in {}, restored by drills",
}


def reread(found: Reread, now: datetime) -> str:
    """How far the reading of a store is, and when it will be done at the pace of the last days."""
    about = "about " if found.estimated else ""
    said = f"{_STORES[found.kind].format(found.where)}: {about}{size(found.bytes)}"
    if found.wrong_bytes:
        said += f", {size(found.wrong_bytes)} of it damaged"
    if found.never_bytes:
        said += f", {_share(found.never_bytes, found.bytes)} never read"
    if found.half_seconds is not None:
        said += f", half of it read within {rough(found.half_seconds)}"
    if found.oldest_seconds is not None:
        said += f", longest unread for {rough(found.oldest_seconds)}"
    if found.kind == "blobs" or found.target_seconds is None:
        return said
    if not found.overdue_bytes:
        return f"{said}; nothing is overdue"
    said += f"; {_share(found.overdue_bytes, found.bytes)} overdue"
    if found.done_at is None:
        return f"{said}, and nothing was read in the last 7 days"
    return f"{said}, done {ago(found.done_at, now)} at today's pace ({size(found.pace)} a day)"


def _share(part: float, whole: float) -> str:
    """`12 %`; never 0 or 100 where it is not quite that."""
    percent = 100 * part / whole if whole else 100.0
    if 0 < percent < 1:
        return "less than 1 %"
    return "more than 99 %" if 99 < percent < 100 else f"{percent:.0f} %"


def certificates(found: tuple[CertificateFacts, ...], now: datetime) -> Iterator[str]:
    """The certificates that end soon, or else the first that will."""
    soon = [each for each in found if each.not_after < now + SOON] or list(found[:1])
    for each in soon:
        word = "expired" if each.not_after < now else "expires"
        yield f"{each.path} {word} on {each.not_after:%Y-%m-%d}, {ago(each.not_after, now)}"
