"""Images of recovery points as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drkit.cli.output import Table
from drkit.cli.views import layout
from drkit.reports.units import moment, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drkit.actions.images.compare import Comparison
    from drkit.actions.images.listing import ImagesFound
    from drkit.cli.output import Output

_NAMED = 20


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


def compared(paper: Output, result: Comparison) -> None:
    """What is gone since a point, by name, and how much is new."""
    paper.print(
        f"recovery point {result.point}, as of {moment(result.consistent_at)}, beside the registry as of"
        f" {moment(result.compared_at)}"
    )
    table = Table("kind", ">gone", ">changed", ">new")
    for kind in result.kinds:
        table.add_row(kind.kind, f"{kind.gone:,}", f"{kind.moved:,}", f"{kind.new:,}")
    paper.print(table)
    for kind in result.kinds:
        _named(paper, f"{kind.kind}: gone", kind.gone_names, kind.gone)
        _named(paper, f"{kind.kind}: means another image now", kind.moved_names, kind.moved)
    if not any(kind.gone or kind.moved for kind in result.kinds):
        paper.print("Nothing that was there is gone.")


def _named(paper: Output, title: str, names: Sequence[str], count: int) -> None:
    if not count:
        return
    layout.heading(paper, title)
    for name in names[:_NAMED]:
        paper.print(f"  {name}")
    if count > _NAMED:
        paper.print(f"  and {count - _NAMED:,} more: --json names up to a thousand")
