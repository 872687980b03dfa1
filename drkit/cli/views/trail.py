"""What `drkit trail` prints."""

from __future__ import annotations

from datetime import datetime

from drkit.actions.trail import TrailReport
from drkit.cli.output import Output, Table
from drkit.model.trail import CONFIRMED, GAP, TrailEntry


def trail(paper: Output, found: TrailReport) -> None:
    """The entries, the oldest first, and what is wrong with them."""
    table = Table(">entry", "time (UTC)", "who", "outcome", "what")
    for each in found.entries:
        at = datetime.fromisoformat(each.at)
        table.add_row(str(each.number), f"{at:%Y-%m-%d %H:%M:%S}", _who(each), each.outcome, _what(each))
    paper.print(table)
    if found.not_asked:
        paper.print(f"the recovery points were not asked what they have seen of it: {found.not_asked}")
    for fault in found.faults:
        paper.print(f"{'confirmed' if fault.confirmed else 'CHANGED'}: {fault.place}: {fault.said}")
    if not found.faults:
        paper.print(f"{found.total:,} entries, each of which follows from the one before it")
    elif not found.open:
        paper.print(f"{found.total:,} entries; what was changed has been confirmed")


def _who(entry: TrailEntry) -> str:
    behind = entry.who.get("sudo") or entry.who.get("login", "")
    user = entry.who.get("user", "")
    return f"{user} ({behind})" if behind not in ("", user) else user


def _what(entry: TrailEntry) -> str:
    if entry.verb == GAP:
        return "the line before this was cut off, as by a power cut"
    if entry.verb == CONFIRMED:
        return f"confirmed: {'; '.join(entry.arguments)}"
    words = " ".join(entry.arguments) or entry.verb
    more = "; ".join(word for word in (entry.point, entry.error) if word)
    return f"{words}: {more}" if more else words
