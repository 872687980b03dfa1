"""What results are made of: tables, pairs of names and values, warnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console


def table(*headings: str) -> Table:
    """An empty table without lines; the column of a heading that begins with `>` is set to the right."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in headings:
        right = heading.startswith(">")
        made.add_column(heading.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return made


def facts(console: Console, pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values, one pair a line."""
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for name, value in pairs:
        made.add_row(Text(name, style="bold"), value)
    console.print(made)


def warn(console: Console, warnings: Sequence[str]) -> None:
    """Warnings, one a line."""
    for warning in warnings:
        console.print(Text("warning: ", style="yellow").append(warning, style="default"))
