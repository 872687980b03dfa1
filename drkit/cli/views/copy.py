"""What `copy` did, for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli.output import Table
from drkit.cli.views.layout import warn
from drkit.reports.units import counted, duration, size

if TYPE_CHECKING:
    from drkit.actions.copy.run import CopiedTo, CopyResult
    from drkit.cli.output import Output


def copy(paper: Output, result: CopyResult) -> None:
    """Each point that was copied or is left out, and what else there is to say of each repository."""
    table = Table("repository", "point", "")
    rows = 0
    word = "to be copied" if result.dry_run else "copied"
    for each in result.copies:
        for point in each.points:
            table.add_row(each.repository, point, Text(word, style="green"))
        for left in each.left_out:
            table.add_row(each.repository, left.point, f"left out: {left.why}")
        rows += len(each.points) + len(each.left_out)
    if rows:
        paper.print(table)
    for each in result.copies:
        for line in each.swept:
            paper.print(f"{each.repository}: {line}")
        warn(paper, [f"{each.repository}: {line}" for line in each.warnings])
        if each.vault:
            blobs = counted(each.vault.blobs, "blob")
            what = f"{blobs} ({size(each.vault.bytes)})"
            paper.print(f"{each.repository}: {what} copied to the vault {each.vault.where}")
        paper.print(_summary(each, dry_run=result.dry_run))


def _summary(each: CopiedTo, *, dry_run: bool) -> Text:
    points = counted(len(each.points), "recovery point")
    if each.failed:
        return Text(f"{each.repository}: not everything was copied; {points} copied", style="red")
    verb = "would be copied" if dry_run else "copied"
    took = "" if dry_run else f" ({duration(each.seconds)})"
    return Text(f"{each.repository}: {points} {verb}, {each.there} there already{took}")
