"""What the recovery points themselves tell of a site: problems by kind; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from drkit import config
from drkit.actions import dropped
from drkit.actions.status import of_secrets
from drkit.harbor import wording
from drkit.model import (
    CLOCK_SKEW,
    Objective,
    Point,
    PointManifest,
    PointStatus,
    Problem,
    ProblemKind,
    is_told,
)

_NEVER = {
    "rpo": "there is no sealed recovery point",
    "rto": "no full drill with room for the images has passed, so nobody knows how long recovery takes",
    "drill": "no full drill has ever passed",
    "reread": "nobody knows that everything that is stored was ever read, or some of it was found damaged",
}
_LATE = {
    "rpo": "the newest recovery point is too old",
    "rto": "the last drill took longer than the objective allows",
    "drill": "the last passed drill is too long ago",
    "reread": "some of what is stored was not read for too long",
}


def unmet(objectives: Sequence[Objective], newest: Point | None) -> Iterator[Problem]:
    """The objectives that are missed; without an objective, that there is nothing to restore at all."""
    for each in objectives:
        if not each.met:
            said = (_LATE if each.actual_seconds is not None else _NEVER)[each.name]
            yield Problem(ProblemKind.OBJECTIVE, said, what_to_do(each), subject=each.name)
    if newest is None and all(each.name != "rpo" for each in objectives):
        yield Problem(ProblemKind.NO_POINT, _NEVER["rpo"], "run `drkit backup`")


def what_to_do(missed: Objective) -> str:
    """About an objective that is missed: a hint."""
    if missed.name == "rto" and missed.actual_seconds is not None:
        return (
            "the last drill's report has its stages: make the slow ones faster, or allow more in [objectives]"
        )
    if missed.name == "reread":
        return "run `drkit verify --for 2h`, and see verify and verify_for in [schedule]"
    return f"run `drkit {'backup' if missed.name == 'rpo' else 'drill'}`; if it fails, it says why"


def problems(
    settings: config.Config, points: Sequence[Point], sealed: Sequence[Point], now: datetime
) -> Iterator[Problem]:
    """Points that cannot be counted on, and what the newest one says of production."""
    incomplete = [p for p in points if p.status is PointStatus.INCOMPLETE and not p.broken_seal]
    if incomplete:
        said = f"{len(incomplete)} incomplete recovery points: a backup failed, was killed, or is under way"
        yield Problem(ProblemKind.INCOMPLETE_POINTS, said, "the next backup removes them", red=False)
    for point in points:
        if point.doubt:
            yield Problem(ProblemKind.BROKEN_SEAL, point.doubt, "run `drkit verify`", subject=point.id)
    yield from _future(points, now)
    for gone in dropped.dropped(settings, sealed):
        yield Problem(ProblemKind.SOURCE_DROPPED, gone.said, gone.hint, subject=gone.source)
    for source in dropped.unprotected(settings, sealed):
        said = f"{source} is in the configuration, and not in the newest point"
        yield Problem(ProblemKind.SOURCE_UNPROTECTED, said, "run `drkit backup`", subject=source)
    newest = next((point.manifest for point in sealed if point.manifest), None)
    if newest:
        for each in newest.drift:
            if not is_told(each.source, settings.site.dropped):
                yield Problem(
                    ProblemKind.HARBOR_DRIFT,
                    each.said,
                    f"{each.hint}; then run `drkit backup`",
                    subject=each.source,
                )
        yield from _of_production(newest)
    yield from of_secrets.problems(sealed, now, settings.secrets.expiry_warning)


def _of_production(newest: PointManifest) -> Iterator[Problem]:
    """What the newest point found wrong in production: it comes back just as it was."""
    for database in newest.databases:
        if database.schema_fault:
            said = wording.schema_fault(database.schema_fault, database.harbor_schema)
            yield Problem(
                ProblemKind.SCHEMA,
                f"database {database.name}: {said}",
                wording.schema_hint(database.schema_fault),
                subject=database.name,
            )
        if said := wording.torn(database.name, database.relations or ()):
            yield Problem(
                ProblemKind.TORN, said, "repair production, then take a new backup", subject=database.name
            )
    closure = newest.closure
    if closure and not closure.whole:
        said = f"production lacks {closure.missing:,} of {closure.referenced:,} blobs that it refers to"
        if closure.size_mismatch:
            said += f", and {closure.size_mismatch:,} have the wrong size"
        yield Problem(
            ProblemKind.IMAGES_MISSING, said, "`drkit show latest` names them; push those images again"
        )


def _future(points: Sequence[Point], now: datetime) -> Iterator[Problem]:
    """What cannot be dated."""
    future = [p.id for p in points if p.status is PointStatus.SEALED and p.taken_at > now + CLOCK_SKEW]
    future += [f"drill {d.id}" for p in points for d in p.drills if d.finished_at > now + CLOCK_SKEW]
    if future:
        names = ", ".join(future[:3])
        said = f"dated in the future, and counted for nothing: {names}; is or was a clock wrong?"
        yield Problem(ProblemKind.FUTURE, said, "set the clock; what is dated wrongly goes with its point")
