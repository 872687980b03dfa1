"""What the drills of a period show, as an auditor asks for it; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from drkit.actions.drills.period import Period
from drkit.actions.drills.trend import Trend, trend
from drkit.config import Objectives
from drkit.model import CLOCK_SKEW, DrillNote, DrillReport, Objective, Outcome, Point
from drkit.model.reread import Reread
from drkit.reports import controls, sentences

_NAMED = 20
IN_THE_FUTURE = "dated in the future, and counted for nothing"


@dataclass(frozen=True)
class Signature:
    """Whether a report was signed: `verified` is None where nothing could be verified; `said` is for people.

    `key` is the id of the key; empty for one without a signature.
    """

    verified: bool | None
    said: str
    key: str = ""


@dataclass(frozen=True)
class Held:
    """A report as a repository holds it."""

    repository: str
    report: DrillReport
    signature: Signature


@dataclass(frozen=True)
class Known:
    """What is known of a repository: its sealed points, newest first, and the notes of all of its drills."""

    repository: str
    sealed: tuple[Point, ...]
    drills: tuple[DrillNote, ...]
    reread: tuple[Reread, ...] = ()


@dataclass(frozen=True)
class PeriodDrill:
    """One drill of the period: `wrong` names what failed, `followed` the drill that passed after it."""

    id: str
    repository: str
    point: str
    level: str
    outcome: Outcome
    started_at: datetime
    finished_at: datetime
    host: str
    recovery_time_seconds: float | None
    recovery_point_age_seconds: float
    objectives: tuple[Objective, ...]
    checks: int
    checks_passed: int
    controls: int
    controls_caught: int
    wrong: tuple[str, ...]
    followed: str | None
    signature: Signature


@dataclass(frozen=True)
class ObjectiveCount:
    """How often an objective was met, and missed, by the drills that measured it."""

    name: str
    met: int
    missed: int
    worst_seconds: float | None
    target_seconds: float


@dataclass(frozen=True)
class Proof:
    """How long ago the bytes in a repository were last proved: by the last full drill that passed.

    `newer_points` were sealed since, and `unread_bytes` is what they added, which no drill has read.
    """

    repository: str
    drill: str | None
    point: str | None
    at: datetime | None
    newer_points: int
    unread_bytes: int
    # What verifies and drills have read, by the ledger, when the page was written: a sentence each.
    reread: tuple[str, ...] = ()


@dataclass(frozen=True)
class PeriodReport:
    """A period's drills at a glance; `undrilled` names up to twenty of its points that no drill has tried.

    `warnings` are what nobody could look at: repositories, and reports.
    """

    site: str
    period: str
    start: datetime
    end: datetime
    written_at: datetime
    verdict: str
    good: bool
    drills: tuple[PeriodDrill, ...]
    objectives: tuple[ObjectiveCount, ...]
    points: int
    undrilled_count: int
    undrilled: tuple[str, ...]
    proofs: tuple[Proof, ...]
    evidence: tuple[controls.EvidenceLine, ...]
    trend: Trend | None
    warnings: tuple[str, ...] = ()
    report: str | None = None


def summarize(
    site: str,
    period: Period,
    held: Sequence[Held],
    known: Sequence[Known],
    goals: Objectives,
    now: datetime,
    warnings: Sequence[str] = (),
) -> PeriodReport:
    """The period's page, from its reports and from what is known of all repositories.

    A drill that is dated in the future counts for nothing, as everywhere.
    """
    today = now + CLOCK_SKEW
    by_repository = {
        each.repository: [note for note in each.drills if note.finished_at <= today] for each in known
    }
    notes = [note for each in by_repository.values() for note in each]
    drills = tuple(
        _drill(each, by_repository.get(each.repository, ()), today)
        for each in sorted(held, key=lambda each: each.report.finished_at)
    )
    good, verdict = _verdict(drills, period, now, warnings)
    taken = {point.id for each in known for point in each.sealed if point.taken_at in period}
    tried = {note.point for note in notes}
    untried = sorted(taken - tried, reverse=True)
    return PeriodReport(
        site=site,
        period=period.name,
        start=period.start,
        end=period.end,
        written_at=now,
        verdict=verdict,
        good=good,
        drills=drills,
        objectives=tuple(_objectives(drills)),
        points=len(taken),
        undrilled_count=len(untried),
        undrilled=tuple(untried[:_NAMED]),
        proofs=tuple(_proof(each, min(now, period.end), now) for each in known),
        evidence=controls.evidence([each.report for each in held]),
        trend=trend(notes, goals.rto, now),
        warnings=tuple(warnings),
    )


def _drill(held: Held, notes: Iterable[DrillNote], today: datetime) -> PeriodDrill:
    """`notes` are those of its repository: a drill of another shows nothing of what this one has."""
    report = held.report
    wrong = [check.name for check in report.checks if check.outcome in (Outcome.FAILED, Outcome.ERROR)]
    wrong += [f"control not caught: {control.name}" for control in report.controls if not control.caught]
    wrong += [f"objective missed: {goal.name}" for goal in report.objectives if not goal.met]
    wrong += report.problems
    wrong += [IN_THE_FUTURE] if report.finished_at > today else []
    return PeriodDrill(
        id=report.id,
        repository=held.repository,
        point=report.point,
        level=report.level,
        outcome=report.outcome,
        started_at=report.started_at,
        finished_at=report.finished_at,
        host=report.host,
        recovery_time_seconds=report.recovery_time_seconds,
        recovery_point_age_seconds=report.recovery_point_age_seconds,
        objectives=report.objectives,
        checks=len(report.checks),
        checks_passed=sum(check.outcome is Outcome.PASSED for check in report.checks),
        controls=len(report.controls),
        controls_caught=sum(control.caught for control in report.controls),
        wrong=tuple(wrong),
        followed=None if report.outcome is Outcome.PASSED else _followed(report, notes),
        signature=held.signature,
    )


def _followed(report: DrillReport, notes: Iterable[DrillNote]) -> str | None:
    """The first drill after one that did not pass that shows as much and did; a full one shows all."""
    later = (n for n in notes if n.finished_at > report.finished_at and n.outcome is Outcome.PASSED)
    good = (note for note in later if note.level in ("full", report.level))
    return next((note.id for note in sorted(good, key=lambda note: note.finished_at)), None)


def _verdict(
    drills: Sequence[PeriodDrill], period: Period, now: datetime, unknown: Sequence[str]
) -> tuple[bool, str]:
    """Whether the period's restore tests are what an auditor wants, and that in one sentence."""
    so_far = " so far" if now < period.end else ""
    full = [drill for drill in drills if drill.level == "full" and IN_THE_FUTURE not in drill.wrong]
    passed = [drill for drill in full if drill.outcome is Outcome.PASSED]
    missed = [drill for drill in passed if not all(goal.met for goal in drill.objectives)]
    open_ = [d for d in drills if d.outcome is not Outcome.PASSED and d.followed is None]
    altered = [drill for drill in drills if drill.signature.verified is False]
    if altered:
        return False, f"The report of drill {altered[0].id} is not as it was signed."
    if not passed:
        return False, f"No full recovery drill has passed in {period.name}{so_far}."
    if open_:
        return False, f"Drill {open_[-1].id} did not pass, and no drill that shows as much has passed since."
    if missed:
        return False, f"Everything came back, but drill {missed[-1].id} missed an objective."
    if unknown:
        return False, f"Not everything could be looked at: {unknown[0]}."
    times = "once" if len(passed) == 1 else f"{len(passed)} times"
    said = f"Everything came back from backup {times} in {period.name}{so_far}, within the objectives."
    return True, said + _unverified([drill.signature for drill in drills])


def _unverified(signatures: Sequence[Signature]) -> str:
    """Of a site that signs its reports: how many of them may be anybody's."""
    count = sum(signature.verified is None for signature in signatures)
    if not count or not any(signature.key for signature in signatures):
        return ""
    return f" Of {len(signatures)} reports {count} cannot be verified: see below which."


def _objectives(drills: Iterable[PeriodDrill]) -> Iterator[ObjectiveCount]:
    by_name: dict[str, list[Objective]] = {}
    for drill in drills:
        for goal in drill.objectives:
            by_name.setdefault(goal.name, []).append(goal)
    for name, goals in by_name.items():
        actual = [goal.actual_seconds for goal in goals if goal.actual_seconds is not None]
        met = sum(goal.met for goal in goals)
        yield ObjectiveCount(name, met, len(goals) - met, max(actual, default=None), goals[-1].target_seconds)


def _proof(known: Known, at: datetime, now: datetime) -> Proof:
    """By drills and points up to that moment."""
    proofs = [note for note in known.drills if note.proves and note.finished_at <= at]
    last = max(proofs, key=lambda note: note.finished_at, default=None)
    points = [point for point in known.sealed if point.taken_at <= at]
    drilled = next((point for point in points if last and point.id == last.point), None)
    # A point that has gone meanwhile was older than those that are there.
    newer = [point for point in points if drilled is None or point.taken_at > drilled.taken_at]
    unread = sum(part.added_bytes for point in newer if point.manifest for part in point.manifest.parts)
    return Proof(
        known.repository,
        last.id if last else None,
        last.point if last else None,
        last.finished_at if last else None,
        len(newer),
        unread,
        tuple(sentences.reread(each, now) for each in known.reread),
    )
