"""What there is to tell a target: problems now, against what it has been told before; pure.

Each target has a memory of its own, so that one that was away is told everything when it is back, and the
others nothing twice. A problem is told once, and again when its cause changes, when it becomes red, and as a
reminder. That it is over is told to whoever was told of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from drkit.actions.alarms import wording
from drkit.model import CLOCK_SKEW, Problem, ProblemKind

# What somebody else tells of: the run that left it.
_NOT_TOLD = (ProblemKind.INCOMPLETE_POINTS,)
# That others are reached again is no news by itself.
_UNHEARD = ProblemKind.NOT_TOLD
# All that can be known of a site whose repository was not looked at.
_WITHOUT_REPOSITORY = (ProblemKind.LAST_RUN, ProblemKind.LOST_RUN, ProblemKind.NOT_TOLD)
_LOOK_EVERY = timedelta(hours=1)
_TRY_AGAIN = timedelta(minutes=10)


@dataclass(frozen=True)
class Look:
    """What is wrong at a moment; `whole` where the repository was read, so that what is not there is over.

    `passed` is what was wrong until the run that has just ended, which has made it good: that a backup was
    killed is told though the next one went well. `after` says how that run ended, in a sentence.
    """

    at: datetime
    problems: tuple[Problem, ...]
    whole: bool = True
    passed: tuple[Problem, ...] = ()
    after: str = ""

    def hides(self, key: str) -> bool:
        """Whether nobody can tell if this problem is still there."""
        kind, _, subject = key.partition(":")
        if not self.whole and kind not in _WITHOUT_REPOSITORY:
            return True
        unread = {p.subject for p in self.problems if p.kind is ProblemKind.REPOSITORY}
        vault = any(p.kind is ProblemKind.VAULT and p.subject == "look" for p in self.problems)
        # `offsite` and what is in it, `offsite/full`; what was found damaged in the vault is `vault/...`.
        place = subject.partition("/")[0]
        return kind != ProblemKind.REPOSITORY and (place in unread or (vault and place == "vault"))


@dataclass(frozen=True)
class Told:
    """A problem that a target knows of: since when, and when it was last told."""

    kind: ProblemKind
    subject: str
    cause: str
    message: str
    red: bool
    since: AwareDatetime
    told_at: AwareDatetime


@dataclass(frozen=True)
class Memory:
    """What a target knows; `missed` is the title of the last message that did not reach it."""

    told: Mapping[str, Told] = field(default_factory=dict)
    missed: str = ""


@dataclass(frozen=True)
class Message:
    """What to send; `memory` is what its target knows once it has arrived."""

    title: str
    body: str
    memory: Memory


def plan(site: str, look: Look, memory: Memory, remind: timedelta, *, critical_only: bool) -> Message | None:
    """What there is to tell a target now; None where it knows everything."""
    wanted = _wanted(look.problems, critical_only=critical_only)
    known = memory.told
    if memory.missed:
        # It was this one that nothing reached.
        wanted = {key: problem for key, problem in wanted.items() if problem.kind is not _UNHEARD}
    new = [p for key, p in wanted.items() if key not in known or _worse(p, known[key])]
    late = any(_is_due(known[key], look.at, remind) for key in wanted if key in known)
    gone = [told for key, told in known.items() if key not in wanted and not look.hides(key)]
    passed = [
        p for key, p in _wanted(look.passed, critical_only=critical_only).items() if {key} - {*known, *wanted}
    ]
    if not (new or late or passed or memory.missed or any(told.kind is not _UNHEARD for told in gone)):
        return None
    still = [p for p in wanted.values() if p not in new]
    return Message(
        wording.title(site, new, still, gone, passed, missed=bool(memory.missed)),
        wording.body(new, still, gone, passed, memory.missed, look.after),
        Memory(_after(look, wanted, known)),
    )


def _wanted(problems: Iterable[Problem], *, critical_only: bool) -> dict[str, Problem]:
    """Key -> problem, the gravest first; of several with one key the first that is red."""
    told = [p for p in problems if p.kind not in _NOT_TOLD and (p.red or not critical_only)]
    found: dict[str, Problem] = {}
    for problem in sorted(told, key=wording.gravity):
        found.setdefault(problem.key, problem)
    return found


def _worse(problem: Problem, told: Told) -> bool:
    return problem.cause != told.cause or (problem.red and not told.red)


def _is_due(told: Told, now: datetime, remind: timedelta) -> bool:
    """Whether to remind of it; also where a clock that was wrong has dated it in the future."""
    return told.told_at + remind <= now or told.told_at > now + CLOCK_SKEW


def _after(look: Look, wanted: Mapping[str, Problem], known: Mapping[str, Told]) -> dict[str, Told]:
    """What the target knows when it has got the message, which names everything that is wrong."""
    kept = {key: told for key, told in known.items() if key not in wanted and look.hides(key)}
    for key, problem in wanted.items():
        since = min(known[key].since, look.at) if key in known else look.at
        told = Told(
            problem.kind, problem.subject, problem.cause, problem.message, problem.red, since, look.at
        )
        kept[key] = told
    return kept


def missed(memory: Memory, message: Message) -> Memory:
    """What a target knows that a message did not reach."""
    return replace(memory, missed=message.title)


def next_look(
    look: Look, memories: Sequence[Memory], remind: timedelta, limits: Iterable[datetime]
) -> datetime:
    """When to look again, if nothing runs until then.

    `limits` are moments at which something that is right now will be wrong, as an objective.
    """
    now = look.at
    if not look.whole:
        return now + _TRY_AGAIN
    times = [now + _LOOK_EVERY, *(limit for limit in limits if limit > now)]
    if any(memory.missed for memory in memories):
        times.append(now + _TRY_AGAIN)
    times += [told.told_at + remind for memory in memories for told in memory.told.values()]
    return max(now + _TRY_AGAIN, min(times))
