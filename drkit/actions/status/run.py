"""The status of a site, and the error that it ends in."""

from __future__ import annotations

from collections.abc import Sequence

from drkit import config
from drkit.actions.status.look import Look, look
from drkit.errors import NotGreen, ObjectiveMissed
from drkit.model import Objective, Status


def status(settings: config.Config) -> Status:
    """The status; raises, with it, the primary repository's error, ObjectiveMissed or NotGreen."""
    return verdict(look(settings))


def verdict(seen: Look) -> Status:
    """The status that was seen; raises, with it, what keeps it from being green."""
    found = seen.status
    if seen.error:
        seen.error.result = found
        raise seen.error
    if found.missed:
        raise ObjectiveMissed(
            f"missed: {', '.join(found.missed)}", hint=_hint(found.objectives), result=found
        )
    if red := found.red:
        more = f" (and {len(red) - 1} more)" if len(red) > 1 else ""
        raise NotGreen(f"not green: {red[0].message}{more}", hint=red[0].hint, result=found)
    return found


def _hint(objectives: Sequence[Objective]) -> str:
    """What to do about the first objective that is missed; what else is wrong stands among the problems."""
    first = next(objective for objective in objectives if not objective.met)
    if first.actual_seconds is None or first.name != "rto":
        return f"run `drkit {'backup' if first.name == 'rpo' else 'drill'}`; if it fails, it says why"
    return "the last drill's report has its stages: make the slow ones faster, or allow more in [objectives]"
