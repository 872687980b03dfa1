"""Which sealed point somebody means: by id, by the beginning of one, or the latest; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from drkit.errors import NoSuchPoint
from drkit.model import CLOCK_SKEW, Point, PointManifest, PointStatus, utc_now


def pick(wanted: str, points: Sequence[Point], now: datetime | None = None) -> tuple[Point, PointManifest]:
    """The sealed point that `wanted` means, with its manifest; raises NoSuchPoint.

    `latest` is never guessed: where the newest seal is broken, or a wrong clock has dated it, somebody has to
    say which point is meant.
    """
    if not wanted:
        # It would be the beginning of every id. Most likely a variable of a shell is not set.
        raise NoSuchPoint(
            "the name of the recovery point is empty", hint="give an id, a prefix of one, or `latest`"
        )
    sealed = [point for point in points if point.manifest]
    if not sealed:
        broken = next((p.doubt for p in points if p.doubt), "")
        why = f"; {broken}" if broken else ""
        raise NoSuchPoint(
            f"there is no sealed recovery point{why}",
            hint="run `drkit verify`" if broken else "take one with `drkit backup`",
        )
    if wanted == "latest":
        point = _latest(points, now or utc_now())
        assert point.manifest is not None
        return point, point.manifest
    matches = [p for p in points if p.id.startswith(wanted)]
    exact = [point for point in matches if point.id == wanted] or matches
    if not exact:
        raise NoSuchPoint(f'there is no recovery point "{wanted}"', hint=f"the newest is {sealed[0].id}")
    if len(exact) > 1:
        some = ", ".join(point.id for point in exact[:4])
        raise NoSuchPoint(f'"{wanted}" could be {len(exact)} recovery points', hint=f"say which: {some}")
    if exact[0].manifest is None:
        why = f": {exact[0].broken_seal}" if exact[0].broken_seal else ""
        said = f"recovery point {exact[0].id} is incomplete and is never restored{why}"
        if exact[0].status is PointStatus.UNREADABLE:
            said = f"recovery {exact[0].doubt}"
        raise NoSuchPoint(said, hint=f"the newest sealed one is {sealed[0].id}")
    return exact[0], exact[0].manifest


def _latest(points: Sequence[Point], now: datetime) -> Point:
    """The newest sealed point, if nothing makes that doubtful; there is one."""
    newest = next(point for point in points if point.manifest or point.doubt)
    others = [point.id for point in points if point.manifest and point is not newest]
    instead = f"; or name another, such as {others[0]}" if others else ""
    if newest.doubt:
        raise NoSuchPoint(
            f"it is not certain which recovery point is the newest: {newest.doubt}",
            hint=f"run `drkit verify`{instead}",
        )
    if newest.taken_at > now + CLOCK_SKEW:
        raise NoSuchPoint(
            f"recovery point {newest.id} is dated in the future, so it is not certain which is the newest",
            hint=f"set this machine's clock if it is wrong; or name that point{instead}",
        )
    return newest
