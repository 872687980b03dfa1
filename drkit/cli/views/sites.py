"""Many sites in one table, the worst first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from drkit.cli.output import Table
from drkit.model.sites import SiteLine, SiteState, is_good
from drkit.reports import sentences
from drkit.reports.units import counted, moment

if TYPE_CHECKING:
    from datetime import datetime

    from drkit.cli.output import Output
    from drkit.model.sites import Sites

_WORDS = {
    SiteState.UNKNOWN: ("unknown", "bold red"),
    SiteState.UNREADABLE: ("cannot be read", "bold red"),
    SiteState.RED: ("not green", "red"),
    SiteState.WARNINGS: ("green", "yellow"),
    SiteState.GREEN: ("green", "green"),
}


def sites_or_nothing(paper: Output, found: Sites | None) -> None:
    """One table; nothing where all was shown already."""
    if found is not None:
        sites(paper, found)


def sites(paper: Output, found: Sites) -> None:
    """The verdict, and a line for each site."""
    paper.print(Text(verdict(found), style="bold red" if found.bad else "bold green"))
    paper.print()
    table = Table("site", "", "newest point", "full drill", ">red", ">warnings", "first problem")
    for each in found.sites:
        table.add_row(*_row(each, found.at))
    paper.print(table)
    paper.print()
    paper.print(f"looked at {moment(found.at)}: {found.directory}")


def verdict(found: Sites) -> str:
    """The first line."""
    every = counted(len(found.sites), "site")
    if not found.bad:
        return f"all {every} are green" if len(found.sites) > 1 else f"{every}, which is green"
    parts = [
        f"{found.count(state)} {word}"
        for state, (word, _) in _WORDS.items()
        if found.count(state) and not is_good(state)
    ]
    return f"{len(found.bad)} of {every} not green: {', '.join(parts)}"


def _row(each: SiteLine, now: datetime) -> tuple[str | Text, ...]:
    word, style = _WORDS[each.state]
    if each.state in (SiteState.UNKNOWN, SiteState.UNREADABLE):
        return Text(each.site, style="red"), Text(word, style=style), "?", "?", "?", "?", each.first
    return (
        each.site,
        Text(word, style=style),
        sentences.ago(each.newest_point_at, now) if each.newest_point_at else Text("none", style="red"),
        sentences.ago(each.last_passed_drill_at, now),
        str(len(each.red)),
        str(len(each.warnings)),
        each.first,
    )
