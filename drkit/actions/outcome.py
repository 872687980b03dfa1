"""Write metrics and send notifications after an unattended command.

Also after an error that came before anything ran: a backup that never started must not be a silent one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from drkit import config
from drkit.actions.status.look import look
from drkit.errors import DrkitError, Interrupted
from drkit.model import Attempt
from drkit.reports import metrics
from drkit.state import attempts
from drkit.state.directory import State
from drkit.tools import notify

log = logging.getLogger(__name__)

# Sending messages and writing metrics are recorded as attempts themselves, for `status` to report.
NOTIFY, METRICS = "notify", "metrics"


def failed_before(known: Sequence[Attempt], attempt: Attempt) -> bool:
    """Whether the last one like it that is known did not end well; pure."""
    others = [a for a in known if a.key == attempt.key and a.id != attempt.id and not a.running]
    return any(not other.good for other in others)


def tell(settings: config.Config, attempt: Attempt, error: DrkitError | None, *, failed_before: bool) -> None:
    """Write metrics and send messages as the configuration asks; raises DrkitError if that fails.

    Each is tried whether or not the other fails.
    """
    state = State(settings.site.state)
    try:
        _notify(settings, state, attempt, error, failed_before=failed_before)
    finally:
        if not isinstance(error, Interrupted):
            # Else nothing was learnt, and no process may start any more to look.
            _write_metrics(settings, state, attempts.read_with(state.attempts, attempt))


def tell_of_end(settings: config.Config, what: str, error: DrkitError) -> None:
    """Send that something has ended of which no attempt is written down; raises DrkitError if that fails."""
    title = f"drkit {what} of {settings.site.name} has ended"
    _send(settings, State(settings.site.state), [(title, f"{error.message}\n{error.hint}".strip())])


def tell_of_lost(settings: config.Config) -> None:
    """Tell of verbs that were killed, each once; raises DrkitError if that fails."""
    state = State(settings.site.state)
    try:
        _send(settings, state, list(_lost(settings, state)))
    finally:
        _write_metrics(settings, state, attempts.read(state.attempts))


def _write_metrics(settings: config.Config, state: State, known: Sequence[Attempt]) -> None:
    if not settings.metrics:
        return
    try:
        seen = look(settings, known)
        metrics.write(settings.metrics.textfile, metrics.render(seen.status, seen.history))
    except DrkitError as error:
        attempts.note(state.attempts, METRICS, error.message)
        raise
    attempts.note(state.attempts, METRICS)


def _notify(
    settings: config.Config,
    state: State,
    attempt: Attempt,
    error: DrkitError | None,
    *,
    failed_before: bool,
) -> None:
    """Tell of every failure, of the first success after one, and of what was killed."""
    messages = list(_lost(settings, state, attempt.id))
    name = f"drkit {attempt.label} of {settings.site.name}"
    if error is not None:
        messages.append((f"{name} failed", f"{error.message}\n{error.hint}".strip()))
    elif failed_before:
        messages.append((f"{name} works again", "The last run succeeded."))
    if not messages and _unheard(state):
        messages.append((f"drkit of {settings.site.name} can send messages again", f"{name} succeeded."))
    _send(settings, state, messages)


def _lost(settings: config.Config, state: State, ended: str = "") -> Iterator[tuple[str, str]]:
    try:
        lost = tuple(attempts.note_lost(state.attempts, ended))
    except OSError as error:
        # What there is to tell of this run goes out all the same.
        log.warning("cannot read in %s which runs were killed: %s", state.attempts, error)
        lost = ()
    for attempt in lost:
        yield (
            f"drkit {attempt.label} of {settings.site.name} never ended",
            f"It began at {attempt.began_at:%Y-%m-%d %H:%M} UTC, and was killed, or the machine went down.",
        )


def _unheard(state: State) -> bool:
    """Whether the last message did not arrive."""
    try:
        return any(a.verb == NOTIFY and not a.good for a in attempts.read(state.attempts))
    except OSError:
        return False


def _send(settings: config.Config, state: State, messages: Sequence[tuple[str, str]]) -> None:
    if not messages:
        return
    try:
        urls = settings.notify.urls
        if settings.notify.urls_file:
            urls += notify.read_urls(settings.notify.urls_file)
    except DrkitError as error:
        attempts.note(state.attempts, NOTIFY, error.message)
        raise
    if not urls:
        return
    failed = {where for title, body in messages for where in notify.tell(urls, title, body)}
    why = f"messages cannot be delivered to {', '.join(sorted(failed))}" if failed else ""
    attempts.note(state.attempts, NOTIFY, why)
