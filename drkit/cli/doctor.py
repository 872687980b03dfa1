"""`drkit doctor`: its options."""

from __future__ import annotations

import typer

from drkit.cli.options import Json
from drkit.cli.run import perform


def doctor(context: typer.Context, json: Json = False) -> None:
    """Check what backups and drills need: tools, access, disk space, keys, clock."""
    from drkit.actions.doctor import run as action
    from drkit.cli.views import results

    perform(context, "doctor", json, lambda run: action.doctor(run.settings), results.doctor)
