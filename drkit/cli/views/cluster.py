"""Who had a part in what a cluster did, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drkit.cli.views import layout
from drkit.reports.units import counted

if TYPE_CHECKING:
    from drkit.cli.output import Output
    from drkit.model import Shared


def shared(paper: Output, found: Shared | None, what: str = "read") -> None:
    """How many workers did it, and those that were not trusted; nothing where this machine did all."""
    if found is None:
        return
    workers, units = counted(found.workers, "worker"), counted(found.units, "unit")
    paper.print(f"{what} by {workers} of {found.scheduler}, in {units}")
    layout.warn(paper, found.set_aside)
