"""What follows every unattended verb: metrics, and a word to whoever wants to know.

Also after an error that came before anything ran: a backup that never started must not be a silent one.
"""

from __future__ import annotations

from datetime import datetime

from drkit import config, metrics, notify
from drkit.actions.status import judge
from drkit.catalog import open_catalog
from drkit.errors import ConfigError, DrkitError, Interrupted
from drkit.model import utc_now
from drkit.state import State


def tell(settings: config.Config, command: str, error: DrkitError | None) -> None:
    """Write metrics and send messages as the configuration asks; raises DrkitError if that fails.

    Neither waits for the other: metrics that cannot be written do not keep anybody from being told, nor the
    other way round.
    """
    state = State(settings.site.state)
    state.prepare()
    before, now = state.outcomes(), utc_now()
    failed_before = before.get(command, (now, True))[1] is False
    try:
        if not isinstance(error, Interrupted):
            # Else nothing was learnt, and no process may start any more to look.
            _record(settings, state, command, now, good=error is None)
    finally:
        _notify(settings, command, error, failed_before=failed_before)


def _record(settings: config.Config, state: State, command: str, now: datetime, *, good: bool) -> None:
    try:
        state.note_outcome(command, now, good=good)
    except OSError as error:
        raise ConfigError(
            f"cannot note down in {state.root} how {command} ended: {error.strerror}",
            hint="is its disk full?",
        ) from None
    if settings.metrics:
        metrics.write(settings.metrics.textfile, _facts(settings, state))


def _notify(settings: config.Config, command: str, error: DrkitError | None, *, failed_before: bool) -> None:
    """Tell of every failure, and of the first success after one."""
    urls = settings.notify.urls
    if settings.notify.urls_file:
        urls += notify.read_urls(settings.notify.urls_file)
    if not urls or (error is None and not failed_before):
        return
    if error is None:
        notify.tell(urls, f"drkit {command} of {settings.site.name} works again", "The last run succeeded.")
        return
    title = f"drkit {command} of {settings.site.name} failed"
    notify.tell(urls, title, f"{error.message}\n{error.hint}".strip())


def _facts(settings: config.Config, state: State) -> metrics.Facts:
    """The state of the site; with the repository out of reach, what is known without it."""
    now = utc_now()
    at, good = state.outcomes().get("backup", (None, False))
    try:
        points = open_catalog(settings).points()
    except DrkitError:
        points = ()
    found = judge(settings, points, now)
    newest = next((point for point in points if point.id == found.newest_point), None)
    return metrics.Facts(
        site=settings.site.name,
        written_at=now,
        newest_point_at=found.newest_point_at,
        newest_point_bytes=newest.manifest.bytes if newest and newest.manifest else 0,
        sealed_points=found.points,
        last_backup_at=at,
        last_backup_success=good,
        objectives=found.objectives,
        last_drill=found.last_drill,
        last_proof_at=found.last_passed_drill.finished_at if found.last_passed_drill else None,
    )
