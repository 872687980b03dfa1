"""The audit trail: who ran what, and whether it is as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from drkit import config
from drkit.actions.doctor.finding import Finding
from drkit.errors import Failure, NotGreen
from drkit.model import Point
from drkit.model.trail import CONFIRMED, Checked, TrailEntry, TrailFault, against
from drkit.points.catalog import open_catalog
from drkit.state import trail
from drkit.state.directory import State

_HINT = "see who changed it; `drkit trail --confirm` takes note of it, and leaves it as it is"


@dataclass(frozen=True)
class TrailReport:
    """The newest entries, what is wrong with the trail, and why recovery points could not be asked."""

    entries: tuple[TrailEntry, ...]
    total: int
    faults: tuple[TrailFault, ...]
    not_asked: str = ""

    @property
    def open(self) -> tuple[TrailFault, ...]:
        """The faults that nobody has confirmed."""
        return tuple(fault for fault in self.faults if not fault.confirmed)


def show(settings: config.Config, last: int, *, confirm: bool = False) -> TrailReport:
    """The newest entries and a check of all; raises NotGreen with them where the trail was changed.

    `confirm` writes an entry by which what was found counts as known.
    """
    state = State(settings.site.state)
    found = _look(settings, last)
    if confirm and found.open:
        said = tuple(fault.said for fault in found.open)
        trail.append(state.root, trail.entry(CONFIRMED, "succeeded", "", state.machine, arguments=said))
        found = replace(_look(settings, last), not_asked=found.not_asked)
    if found.open:
        raise NotGreen(f"the audit trail was changed: {found.open[0].said}", hint=_HINT, result=found)
    return found


def _look(settings: config.Config, last: int) -> TrailReport:
    checked = trail.read(settings.site.state, last)
    faults, not_asked = checked.faults, ""
    try:
        faults += of_points(checked, settings, open_catalog(settings).impatient().look().points)
    except Failure as error:
        not_asked = error.message
    return TrailReport(checked.entries, checked.total, faults, not_asked)


def of_points(checked: Checked, settings: config.Config, points: Sequence[Point]) -> tuple[TrailFault, ...]:
    """What the points that this state directory has taken have seen of its trail."""
    machine = State(settings.site.state).machine
    manifests = [point.manifest for point in points if point.manifest]
    seen = [(m.id, m.finished_at, m.trail) for m in manifests if m.trail and m.trail.machine == machine]
    return against(checked, seen)


def examine(settings: config.Config) -> Iterator[Finding]:
    """For doctor; an OSError means that it cannot be read."""
    checked = trail.read(settings.site.state, 0)
    faults = checked.faults + of_points(checked, settings, open_catalog(settings).look().points)
    wrong = [fault for fault in faults if not fault.confirmed]
    for fault in wrong[:_SHOWN]:
        yield Finding("audit trail", "problem", f"{fault.place}: {fault.said}", _HINT)
    if not wrong:
        torn = "; the last line was cut off, which the next run writes down" if checked.torn else ""
        yield Finding("audit trail", "ok", f"{checked.total:,} entries that follow from one another{torn}")


_SHOWN = 3
