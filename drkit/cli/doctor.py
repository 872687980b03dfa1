"""`drkit doctor`: its options."""

from __future__ import annotations

import typer

from drkit.cli.options import Json
from drkit.cli.run import Run, perform


def doctor(context: typer.Context, json: Json = False) -> None:
    """Check what backups and drills need: tools, access, disk space, keys, clock."""
    from drkit.actions.doctor import run as action
    from drkit.cli import timing
    from drkit.cli.views import results

    def work(run: Run) -> action.Diagnosis:
        settings = run.settings
        return action.doctor(settings, [("timers", lambda: timing.look(settings, run.config_path))])

    perform(context, "doctor", json, work, results.doctor)
