"""What `drkit notify` prints."""

from __future__ import annotations

from drkit.actions.alarms.run import Notified
from drkit.cli.output import Output, Table


def notify(paper: Output, found: Notified) -> None:
    """Each target, and what it was told or why it was not."""
    if not found.sent:
        paper.print("nothing that has not been told")
        return
    table = Table("to", "delivered", "what")
    for each in found.sent:
        said = each.title or "a request"
        table.add_row(
            each.target, "yes" if each.delivered else "NO", f"{said}: {each.why}" if each.why else said
        )
    paper.print(table)
