"""Who had a part in what a cluster did, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drkit.cli.views import layout
from drkit.reports.units import counted

if TYPE_CHECKING:
    from drkit.blobs.units.executors import Shared
    from drkit.cli.output import Output


def shared(paper: Output, found: Shared | None) -> None:
    """How many workers read, and those that were not trusted; nothing where this machine read all."""
    if found is None:
        return
    paper.print(
        f"read by {counted(found.workers, 'worker')} of {found.scheduler}, in {counted(found.units, 'unit')}"
    )
    layout.warn(paper, found.set_aside)
