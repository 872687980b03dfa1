"""`drkit status`: its options."""

from __future__ import annotations

import typer

from drkit.cli.options import Json
from drkit.cli.run import perform


def status(context: typer.Context, json: Json = False) -> None:
    """Say whether the objectives are met and nothing else is wrong."""
    from drkit.actions.status import run as action
    from drkit.cli.views import results

    perform(context, "status", json, lambda run: action.status(run.settings), results.status)
