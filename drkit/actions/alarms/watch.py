"""Whether it is time to look at a site though no verb runs: asked every few minutes, by whoever waits."""

from __future__ import annotations

from datetime import datetime

from drkit import config
from drkit.actions.alarms import memory
from drkit.actions.alarms import settings as alarm_settings
from drkit.actions.alarms.memory import Memories
from drkit.model import CLOCK_SKEW
from drkit.state import attempts
from drkit.state.directory import State


def is_due(settings: config.Config, now: datetime) -> bool:
    """Whether `drkit notify` is to run; costs the reading of a few files.

    Each hour, when an objective ends to be met or a reminder is due, soon after a message did not arrive, and
    where a run was killed of which somebody was not told yet.
    """
    written = settings.metrics or settings.status.page
    if not alarm_settings.of(settings).wants_status and not written:
        return False
    try:
        lost = {a.id for a in attempts.read(State(settings.site.state).attempts) if a.lost}
    except OSError:
        return True
    return due(memory.read(settings.site.state), lost, now)


def due(remembered: Memories, lost: set[str], now: datetime) -> bool:
    """The same of what is remembered, and the ids of runs that were killed; pure."""
    if remembered.looked_at is None or remembered.look_again is None:
        return True
    if now >= remembered.look_again or now + CLOCK_SKEW < remembered.looked_at:
        return True
    return any(lost - {told.cause for told in knows.told.values()} for knows in remembered.targets.values())
