"""What is known of a site against what must be true; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from drkit import config
from drkit.actions.status import (
    ahead,
    of_copies,
    of_drills,
    of_ledger,
    of_points,
    of_runs,
    of_sources,
    of_vault,
)
from drkit.actions.status.of_copies import Further
from drkit.blobs.ends import place_of_vault
from drkit.model import (
    CLOCK_SKEW,
    Attempt,
    DrillNote,
    Objective,
    ObjectiveName,
    Point,
    PointStatus,
    Problem,
    RepositoryStatus,
    Status,
)
from drkit.model.reread import Reread


def judge(
    settings: config.Config,
    points: Sequence[Point] | None,
    now: datetime,
    known: Sequence[Attempt] = (),
    here: Sequence[Problem] = (),
    further: Sequence[Further] = (),
    reread: Sequence[Reread] = (),
) -> Status:
    """The status at a moment, with what is wrong `here`, on this machine or in the vault.

    `points` are those of the primary repository, None where they cannot be listed: what that means is among
    `here`, and no objective is met that nobody can look at. `further` are the others,
    `reread` is how far the reading of what the primary one holds is.

    What never happened is infinitely late, not fine.

    Nor does what is dated in the future count: an objective would be met until that day comes, whatever
    happens meanwhile.
    """
    listed, points = points is not None, points or ()
    sealed = [p for p in points if p.status is PointStatus.SEALED and p.taken_at <= now + CLOCK_SKEW]
    drills = of_drills.in_order(sealed, now)
    proofs = [drill for drill in reversed(drills) if drill.proves]
    proof = next(iter(proofs), None)
    newest = sealed[0] if sealed else None
    copied = tuple(of_copies.judged(each, now) for each in further)
    objectives = tuple(_objectives(settings, newest, proofs, copied, reread, now))
    findings = (
        # First, for they may be the cause of what follows.
        *here,
        *(of_points.unmet(objectives, newest) if listed else ()),
        *of_points.problems(settings, points, sealed, now),
        *of_drills.problems(sealed, drills),
        *(problem for each in further for problem in of_copies.problems(each, now)),
        *of_runs.problems(known, drills, copied),
        *of_runs.overdue(settings.schedule, known, sealed, _elsewhere(sealed, drills, copied), now),
        *of_vault.ended_locks(newest, now),
        *of_vault.moved(settings.vault, newest),
        *of_vault.relied_on_by_copies(settings, further),
    )
    own = Further(
        settings.primary.name, settings.objectives.rpo, tuple(points) if listed else None, (), tuple(reread)
    )
    return Status(
        site=settings.site.name,
        at=now,
        green=listed and all(o.met for o in objectives) and not any(f.red for f in findings),
        objectives=objectives,
        newest_point=newest.id if newest else None,
        newest_point_at=newest.taken_at if newest else None,
        last_drill=drills[-1] if drills else None,
        last_passed_drill=proof,
        points=sum(point.status is PointStatus.SEALED for point in points),
        problems=tuple(found.message for found in findings),
        findings=findings,
        runs=of_runs.last_of_each(known),
        repositories=(of_copies.judged(own, now), *copied),
        sources=of_sources.sources(settings, sealed),
        sizes=of_sources.sizes(sealed, now),
        certificates=of_sources.certificates(sealed),
        closure=next((point.manifest.closure for point in sealed if point.manifest), None),
        next_runs=ahead.next_runs(settings.schedule, settings.site.name, now),
    )


def _elsewhere(
    sealed: Sequence[Point], drills: Sequence[DrillNote], copied: Sequence[RepositoryStatus]
) -> dict[str, list[datetime]]:
    """When verbs have run, whichever machine ran them, as far as the repositories tell."""
    # The oldest of the newest: each of them was copied later than it was taken.
    newest = [each.newest_point_at for each in copied]
    everywhere = [at for at in newest if at is not None]
    every = [*drills, *(d for each in copied for d in (each.last_drill, each.last_passed_drill) if d)]
    return {
        "backup": [point.taken_at for point in sealed[:1]],
        "drill": [drill.finished_at for drill in every if drill.level == "full"],
        "drill_quick": [drill.finished_at for drill in every],
        "copy": [min(everywhere)] if everywhere and len(everywhere) == len(newest) else [],
    }


def _finished(drill: DrillNote) -> datetime:
    return drill.finished_at


def _objectives(
    settings: config.Config,
    newest: Point | None,
    proofs: Sequence[DrillNote],
    copied: Sequence[RepositoryStatus],
    reread: Sequence[Reread],
    now: datetime,
) -> list[Objective]:
    """The primary repository's drills say how long recovery takes; any shows that a point comes back.

    `proofs` are its full drills that passed, newest first. One that had no room for the images measured no
    recovery time.
    """
    elsewhere = sorted(
        (each.last_passed_drill for each in copied if each.last_passed_drill), key=_finished, reverse=True
    )
    latest = max([*elsewhere, *proofs[:1]], key=_finished, default=None)
    times = (drill.recovery_time_seconds for drill in proofs or elsewhere)
    goals = settings.objectives
    bucketed = newest.manifest.bucket if newest and newest.manifest else None
    vault = place_of_vault(settings.vault).where if settings.vault else None
    actual: dict[ObjectiveName, float | None] = {
        "rpo": (now - newest.taken_at).total_seconds() if newest else None,
        "rto": next((seconds for seconds in times if seconds is not None), None),
        "drill": (now - latest.finished_at).total_seconds() if latest else None,
        "reread": of_ledger.unread_seconds(reread, with_vault=bool(bucketed), vault=vault),
    }
    targets: dict[ObjectiveName, timedelta | None] = {
        "rpo": goals.rpo,
        "rto": goals.rto,
        "drill": goals.drill,
        "reread": goals.reread,
    }
    found = []
    for name, target in targets.items():
        if target is not None:
            value = actual[name]
            met = value is not None and value <= target.total_seconds()
            found.append(Objective(name, target.total_seconds(), value, met))
    return found
