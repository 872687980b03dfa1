"""Which repository a drill takes, where all have their turn: the one whose last drill is longest ago."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from drkit import config
from drkit.errors import Failure
from drkit.model import Attempt, DrillNote, Level
from drkit.model.job import has_run
from drkit.points.catalog import open_catalog
from drkit.state import attempts
from drkit.state.directory import State
from drkit.tools.parallel import in_order

log = logging.getLogger(__name__)

_AT_ONCE = 8
_NEVER = datetime.min.replace(tzinfo=UTC)


def choose(settings: config.Config, level: Level) -> str | None:
    """The name of that repository; None for the primary one, and where there is no other.

    One that cannot be read has its turn as well: then the drill says why it cannot be.
    """
    if len(settings.repositories) == 1:
        return None
    names = [each.name for each in settings.repositories]
    drilled = dict(zip(names, in_order(names, lambda name: _drills(settings, name), _AT_ONCE), strict=True))
    try:
        known = attempts.read(State(settings.site.state).attempts)
    except OSError as error:
        log.warning("cannot read how earlier drills ended: %s", error.strerror)
        known = ()
    chosen = longest_ago(names, drilled, known, level)
    return None if chosen == settings.primary.name else chosen


def longest_ago(
    names: Sequence[str], drilled: Mapping[str, Sequence[DrillNote]], known: Sequence[Attempt], level: Level
) -> str:
    """The repository whose last drill is longest ago, of several the first: pure.

    The first of `names` is the primary one. A quick drill is as good as any; a full one asks for full ones.
    What was tried and came to no report counts as well, or a repository that is away would keep its turn.
    """

    def last(name: str) -> datetime:
        scope = "" if name == names[0] else name
        times = [each.finished_at for each in drilled.get(name, ()) if level in ("quick", each.level)]
        times += [
            each.began_at
            for each in known
            if each.verb == "drill"
            and each.drilled_from == scope
            and has_run(each)
            and level in ("quick", each.scope.partition(" ")[0])
        ]
        return max(times, default=_NEVER)

    return min(names, key=last)


def _drills(settings: config.Config, name: str) -> tuple[DrillNote, ...]:
    try:
        points = open_catalog(settings, name).impatient().points()
    except Failure as error:
        log.warning("cannot tell when %s was drilled last: %s", name, error.message)
        return ()
    return tuple(drill for point in points for drill in point.drills)
