"""`drkit notify`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from drkit.cli.options import Json
from drkit.cli.run import Run, perform


def notify(
    context: typer.Context,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test to everybody who is to be told of anything.")
    ] = False,
    json: Json = False,
) -> None:
    """Tell what is wrong and has not been told, also if nothing ran."""
    from drkit.actions import outcome
    from drkit.actions.alarms import run as action
    from drkit.actions.alarms import settings
    from drkit.cli.views import notify as show

    def work(run: Run) -> action.Notified:
        if test:
            return action.try_out(settings.of(run.settings))
        return action.refuse_undelivered(outcome.check(run.settings))

    perform(context, "notify", json, work, show.notify)
