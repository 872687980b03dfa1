"""Two machines with one site's name on one repository: whose points count, and what is told of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from drkit import config
from drkit.actions import dropped
from drkit.errors import UsageError
from drkit.model import Point, Problem, ProblemKind, utc_now
from drkit.points.catalog import open_catalog
from drkit.points.ownership import OtherHost, Ownership, TakenOver, clone, others
from drkit.state import taken_over
from drkit.state.directory import State
from drkit.tools.parallel import in_order

# Who has made a point within this time is at work.
_LIVELY = timedelta(days=7)
_AT_ONCE = 8


def ownership(settings: config.Config) -> Ownership:
    """What is this machine's; raises ConfigError where the state directory cannot tell."""
    state = State(settings.site.state)
    makes_none = not dropped.configured(settings)
    if makes_none:
        return Ownership("", makes_none=True)
    taken = (TakenOver(each.machine, each.host, each.until) for each in taken_over.read(state.root))
    return Ownership(state.known_machine, tuple(taken))


def problems(
    ownership: Ownership, points: Sequence[Point], repository: str, now: datetime
) -> Iterator[Problem]:
    """What is told of other machines that made points of this site: pure.

    One that goes on making them is red: neither sees whether the other's points are good, and each may be
    restored for the other. One that has ended is no fault, but somebody has to say that it has.
    """
    own = [point.taken_at for point in ownership.own(points) if point.manifest]
    for other in others(ownership, points):
        lively = bool(own) and other.newest > min(own) and now - other.newest < _LIVELY
        counted = "neither counted nor expired here" if own else "not expired here"
        said = f"{_made(other, repository)}: they are {counted}"
        yield Problem(
            ProblemKind.OTHER_HOST,
            f"another host makes recovery points of this site: {said}" if lively else said,
            f"if {other.host} is gone for good, run `drkit points --take-over {other.host}`; if it is not,"
            " give one of the two another name in [site]",
            red=lively,
            subject=f"{repository} {other.machine}",
        )
    if (copied := clone(ownership, points)) is not None:
        yield Problem(
            ProblemKind.OTHER_HOST,
            f"another host works with a copy of this state directory: {_made(copied, repository)}",
            "on one of the two remove the file `machine` from the state directory, and give the site another"
            " name in [site]",
            red=now - copied.newest < _LIVELY,
            subject=f"{repository} copy",
        )


def _made(other: OtherHost, repository: str) -> str:
    number = "1 recovery point" if other.points == 1 else f"{other.points} recovery points"
    return f"{number} in {repository} made by {other.host}, the newest of {other.newest:%Y-%m-%d %H:%M} UTC"


def take_over(settings: config.Config, wanted: str) -> tuple[OtherHost, ...]:
    """Count the points that another host has made so far as this machine's, and let them expire here.

    `wanted` is the name of the host, or that of its state directory. Raises UsageError where none is called
    so.
    """
    mine = ownership(settings)
    if mine.makes_none:
        raise UsageError(
            "this configuration backs nothing up, and goes by all points anyway", hint="leave --take-over out"
        )
    names = [each.name for each in settings.repositories]
    listed = in_order(names, lambda name: open_catalog(settings, name).points(), _AT_ONCE)
    found = {other.machine: other for points in listed for other in others(mine, points)}
    chosen = [other for other in found.values() if wanted in (other.host, other.machine)]
    if not chosen:
        hosts = ", ".join(sorted({other.host for other in found.values()}))
        known = f"those of other hosts are by {hosts}" if hosts else "there are none of other hosts"
        raise UsageError(f"no recovery point of this site was made by {wanted}", hint=known)
    state = State(settings.site.state)
    state.prepare()
    taken_over.add(state.root, [(other.machine, other.host) for other in chosen], utc_now())
    return tuple(chosen)
