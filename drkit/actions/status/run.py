"""The status of a site, and the error that it ends in."""

from __future__ import annotations

from collections.abc import Sequence

from drkit import config
from drkit.actions import collapsed, known_points, room
from drkit.actions.status import further, of_vault
from drkit.actions.status.judge import judge
from drkit.errors import NotGreen, ObjectiveMissed
from drkit.model import Objective, Problem, ProblemKind, Status, utc_now
from drkit.points.catalog import open_catalog
from drkit.state import attempts
from drkit.state.directory import State
from drkit.tools.parallel import side_by_side


def status(settings: config.Config) -> Status:
    """The status; raises ObjectiveMissed or NotGreen, with it, if anything is missed or red."""
    catalog = open_catalog(settings)
    with side_by_side() as tasks:
        others = tasks.begin("others", lambda: further.look(settings))
        listing = catalog.look()
    known = attempts.read(State(settings.site.state).attempts)
    full = [Problem(ProblemKind.FULL_DISK, said, room.HINT) for said in room.full(settings)]
    lost = known_points.look(catalog, listing)
    here = [*full, *(lost.problems if lost else ()), *of_vault.look(settings)]
    now = utc_now()
    here += collapsed.problems(listing, now)
    found = judge(settings, listing.points, now, known, here, others())
    if found.missed:
        raise ObjectiveMissed(f"missed: {', '.join(found.missed)}", hint=_hint(found.objectives), result=found)
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
