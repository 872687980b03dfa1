"""The status of a site as a page: one file, nothing fetched from elsewhere, for any browser and for print."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from markupsafe import Markup, escape

from drkit.errors import ConfigError
from drkit.files import replace_file
from drkit.logs import redact
from drkit.model import Attempt, DrillNote, Outcome, Point, PointStatus, Status
from drkit.reports import charts, sentences
from drkit.reports.charts import Value
from drkit.reports.text import templates
from drkit.reports.units import counted, duration, minute, moment, size

_YEAR = timedelta(weeks=charts.WEEKS)
_DAY = timedelta(days=1)
# A run may wait for another, and the first copy takes long.
_GRACE = timedelta(hours=12)
_FRACTIONS = (0.0, 0.5, 1.0)


def write(path: Path, text: str) -> None:
    """Replace the file, readable for all; raises ConfigError where that is not possible."""
    try:
        replace_file(path, text, mode=0o644)
    except OSError as error:
        raise ConfigError(
            f"cannot write the status page {path}: {error.strerror}",
            hint="name a file in a directory that is there and that drkit's user may write",
        ) from None


def render(
    status: Status,
    points: Sequence[Point],
    history: Sequence[Attempt],
    due: Mapping[str, Mapping[str, int]],
    zone: tzinfo,
) -> str:
    """The page; `due` says job -> day (ISO) -> how often it is due in the weeks ahead, in `zone`."""
    today = status.at.astimezone(zone).date()
    notes = _notes(status, points)
    # What was killed last is not in the history yet.
    history = [*history, *(run for run in status.runs if run.lost)]
    environment = templates(
        duration=duration,
        rough=sentences.rough,
        moment=moment,
        minute=minute,
        size=size,
        coded=_coded,
        counted=counted,
    )
    script = environment.get_template("status.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("status.html").render(
        status=status,
        verdict=sentences.verdict(status),
        problems=sorted(status.findings, key=lambda each: not each.red),
        names=sentences.OBJECTIVES,
        runs=list(sentences.runs(status)),
        ago=sentences.ago,
        reread=sentences.reread,
        sizes=sentences.sizes(status.sizes),
        soon=status.at + sentences.SOON,
        calendars=(
            ("Backups", "backup", charts.year(charts.backups(points, history, zone), today)),
            ("Drills", "drill", charts.year(charts.drills(notes, history, zone), today)),
        ),
        ahead=charts.ahead(due, today),
        recovery=_recovery(status, notes, history),
        growth=_growth(status, points),
        script=Markup(script),  # noqa: S704 - a file of ours
        digest=digest,
        made=int(status.at.timestamp() * 1000),
        until=int(_until(status).timestamp() * 1000),
    )


def _until(status: Status) -> datetime:
    """When the page will be too old to be believed: the next run should have written another long before."""
    following = min((run.at for run in status.next_runs), default=status.at + _DAY)
    return following + _GRACE


def _notes(status: Status, points: Sequence[Point]) -> list[DrillNote]:
    """Every drill that is known by its report: those of further repositories as far as they are the last."""
    found = {note.id: note for point in points for note in point.drills}
    for each in status.repositories:
        for note in (each.last_drill, each.last_full_drill, each.last_quick_drill, each.last_passed_drill):
            if note is not None:
                found[note.id] = note
    return list(found.values())


def _recovery(status: Status, notes: Sequence[DrillNote], history: Sequence[Attempt]) -> charts.Plot | None:
    """How long full drills took to bring everything back, against the objective."""
    target = next((each.target_seconds for each in status.objectives if each.name == "rto"), None)
    values = [
        Value(note.finished_at, note.recovery_time_seconds, "", note.outcome is Outcome.PASSED)
        for note in notes
        if note.level == "full" and note.recovery_time_seconds is not None
    ]
    reported = {note.id for note in notes}
    values += [
        Value(run.ended_at, run.recovery_time_seconds, "", run.good)
        for run in history
        if run.verb == "drill"
        and run.scope.startswith("full")
        and run.ended_at
        and run.recovery_time_seconds is not None
        and run.subject not in reported
    ]
    if not values:
        return None
    most = max([value.amount for value in values] + ([target] if target else [])) * 1.1
    return charts.plot(
        (_said(value, duration(value.amount)) for value in values),
        status.at,
        _YEAR,
        [(most * part, sentences.rough(most * part) if part else "0") for part in _FRACTIONS],
        target,
    )


def _growth(status: Status, points: Sequence[Point]) -> charts.Plot | None:
    """How large the points are that are still there."""
    values = [
        Value(point.manifest.consistent_at, point.manifest.bytes, "")
        for point in points
        if point.manifest and point.status is PointStatus.SEALED
    ]
    if len(values) < 2:
        return None
    most = max(value.amount for value in values) * 1.1
    return charts.plot(
        (_said(value, size(value.amount)) for value in values),
        status.at,
        _YEAR,
        [(most * part, size(most * part)) for part in _FRACTIONS],
        None,
    )


def _said(value: Value, amount: str) -> Value:
    return Value(value.at, value.amount, f"{minute(value.at)}: {amount}", value.good)


def _coded(words: str) -> Markup:
    """A sentence without secrets, with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(redact(words)))))  # noqa: S704 - escaped
