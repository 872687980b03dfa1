"""Tell every target what it does not know yet, and remember it; nothing fails the run that it follows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from drkit.actions.alarms import memory, pings, plan
from drkit.actions.alarms.memory import Memories
from drkit.actions.alarms.plan import Look, Memory, Message
from drkit.actions.alarms.settings import AlarmSettings, require_anybody
from drkit.actions.alarms.targets import SECONDS, Delivery, Target, every, side_by_side
from drkit.errors import ToolFailed
from drkit.logs import redact
from drkit.model import Problem
from drkit.state import attempts
from drkit.state.directory import State

log = logging.getLogger(__name__)

# What could not be delivered is recorded as an attempt of this name, for `status` to report.
NOTIFY = "notify"


@dataclass(frozen=True)
class Sent:
    """What was sent to whom; `title` is empty for a ping."""

    target: str
    title: str
    delivered: bool
    why: str = ""


@dataclass(frozen=True)
class Notified:
    """The result of `drkit notify`: what there was to tell; nothing where everybody knows everything."""

    sent: tuple[Sent, ...]


def tell(settings: AlarmSettings, look: Look, limits: Iterable[datetime] = ()) -> list[Sent]:
    """Tell each target what is new to it; returns what was sent. Never raises for a target that fails."""
    look = _redacted(look)
    with memory.one_at_a_time(settings.state, 2 * SECONDS):
        known = memory.read(settings.state)
        remind = settings.notify.remind
        wanted: list[tuple[Target, Memory, Message | None]] = []
        for target in every(settings):
            knows = known.targets.get(target.key, Memory())
            said = plan.plan(settings.site, look, knows, remind, critical_only=target.critical_only)
            wanted.append((target, knows, said))
        found = _send([(target, said) for target, _, said in wanted if said])
        after = {target.key: _after(knows, said, found.get(target.key)) for target, knows, said in wanted}
        again = plan.next_look(look, tuple(after.values()), remind, limits)
        memory.write(settings.state, Memories(after, look.at, again))
    sent = [
        Sent(found[target.key].target, said.title, not found[target.key].why, found[target.key].why)
        for target, _, said in wanted
        if said
    ]
    _record(settings, sent, [name for name, each in after.items() if each.missed])
    return sent


def _redacted(look: Look) -> Look:
    """Without secrets: what is told is remembered as well."""

    def clean(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        return tuple(replace(p, message=redact(p.message), hint=redact(p.hint)) for p in problems)

    return replace(look, problems=clean(look.problems), passed=clean(look.passed))


def _send(messages: Sequence[tuple[Target, Message]]) -> dict[str, Delivery]:
    work = [partial(target.tell, message.title, message.body) for target, message in messages]
    return dict(zip((target.key for target, _ in messages), side_by_side(work), strict=True))


def _after(knows: Memory, said: Message | None, delivery: Delivery | None) -> Memory:
    if said is None or delivery is None:
        return knows
    return plan.missed(knows, said) if delivery.why else said.memory


def _record(settings: AlarmSettings, sent: Sequence[Sent], missed: Sequence[str]) -> None:
    """Write down for `status` what did not arrive, or that all does again."""
    failed = [each for each in sent if not each.delivered]
    for each in failed:
        log.warning("cannot notify %s: %s", each.target, each.why)
    directory = State(settings.state).attempts
    if sent:
        names = ", ".join(sorted({each.target for each in failed}))
        attempts.note(directory, NOTIFY, f"messages cannot be delivered to {names}" if failed else "")
    elif not missed and not _last_was_good(settings, NOTIFY):
        # Whoever could not be told is nobody to be told any more.
        attempts.note(directory, NOTIFY)


def _last_was_good(settings: AlarmSettings, key: str) -> bool:
    try:
        known = attempts.read(State(settings.state).attempts)
    except OSError:
        return True
    return all(attempt.good for attempt in known if attempt.key == key)


def record_pings(settings: AlarmSettings, verb: str, deliveries: Sequence[Delivery]) -> list[Sent]:
    """Write down for `status` whether what follows a verb has arrived."""
    scope = f"after {verb}"
    if not deliveries and _last_was_good(settings, f"{NOTIFY} {scope}"):
        return []
    failed = [each for each in deliveries if each.why]
    for each in failed:
        log.warning("cannot tell %s: %s", each.target, each.why)
    names = ", ".join(each.target for each in failed)
    why = f"the end of {verb} cannot be told to {names}" if failed else ""
    attempts.note(State(settings.state).attempts, NOTIFY, why, scope=scope)
    return [Sent(each.target, "", not each.why, each.why) for each in deliveries]


def announce(settings: AlarmSettings, title: str, body: str) -> list[Sent]:
    """Tell every target something that is no problem of the site's, and is not remembered."""
    message = Message(f"drkit {settings.site}: {title}", body, Memory())
    targets = list(every(settings))
    found = _send([(target, message) for target in targets])
    sent = [Sent(each.target, message.title, not each.why, each.why) for each in found.values()]
    _record(settings, sent, ())
    return sent


def try_out(settings: AlarmSettings) -> Notified:
    """Send a trial to everybody; raises ToolFailed with the result where somebody is not reached.

    Raises ConfigError where there is nobody.
    """
    require_anybody(settings)
    title = f"drkit {settings.site}: this is a test"
    body = "`drkit notify --test` has sent this. Nothing is wrong."
    trials: list[tuple[str, Callable[[], Delivery]]] = [
        (title, partial(target.tell, title, body)) for target in every(settings)
    ]
    trials += [("", each) for each in pings.try_out(settings)]
    found = side_by_side([each for _, each in trials])
    sent = [
        Sent(each.target, said, not each.why, each.why) for (said, _), each in zip(trials, found, strict=True)
    ]
    return refuse_undelivered(Notified(tuple(sent)))


def refuse_undelivered(notified: Notified) -> Notified:
    """The same; raises ToolFailed with it where something has not arrived."""
    failed = [each for each in notified.sent if not each.delivered]
    if failed:
        names = ", ".join(dict.fromkeys(each.target for each in failed))
        raise ToolFailed(f"not delivered to {names}", hint="see [notify] and [ping]", result=notified)
    return notified
