"""Images of recovery points as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drkit.cli.output import Table
from drkit.reports.units import moment, size

if TYPE_CHECKING:
    from drkit.actions.images.listing import ImagesFound
    from drkit.cli.output import Output


def found(paper: Output, result: ImagesFound) -> None:
    """The images that a pattern names."""
    table = Table("repository", "tag", ">size", ">with", "digest")
    for each in result.images:
        more = str(each.accessories) if each.accessories else "-"
        table.add_row(
            each.repository, each.tag or "-", "-" if each.size is None else size(each.size), more, each.digest
        )
    paper.print(table)
    if result.count > len(result.images):
        paper.print(f"and {result.count - len(result.images):,} more: narrow the pattern down")
    paper.print(
        f"{result.count:,} images of recovery point {result.point}, as of {moment(result.consistent_at)},"
        f' match "{result.pattern}". "with" counts signatures, SBOMs and the like.'
    )
