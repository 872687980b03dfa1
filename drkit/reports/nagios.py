"""The status of a site as a Nagios plugin says it: one line, performance data, more lines; pure.

A plugin's exit codes are 0, 1, 2 and 3 (Monitoring Plugins Development Guidelines); drkit's own mean other
things, and what is above 3 is out of bounds there. What cannot be reached is critical and not unknown: nobody
can restore from it, and unknown pages nobody at many sites.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drkit.errors import Failure
from drkit.model import Status
from drkit.reports import sentences

OK, WARNING, CRITICAL, UNKNOWN = range(4)
_NAMES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


@dataclass(frozen=True)
class Answer:
    """What a plugin prints, and its exit code."""

    code: int
    text: str


def answer(found: Status) -> Answer:
    """The status as an answer: critical where it is not green, warning where something wants attention."""
    code = CRITICAL if not found.green else WARNING if found.findings else OK
    first = next((problem.message for problem in (*found.red, *found.findings)), "")
    said = f"{sentences.verdict(found)}{f'; {first}' if first else ''}"
    problems = sorted(found.findings, key=lambda each: not each.red)
    lines = [f"{'problem' if each.red else 'warning'}: {each.message}" for each in problems]
    head = f"DRKIT {_NAMES[code]} - {_plain(said)} | {' '.join(_measured(found))}"
    return Answer(code, "\n".join([head, *map(_plain, lines)]))


def unknown(error: Failure) -> Answer:
    """Nothing could be looked at: the configuration is wrong, say."""
    return Answer(UNKNOWN, f"DRKIT UNKNOWN - {_plain(error.message)}\n{_plain(error.hint)}".rstrip())


def _measured(found: Status) -> Iterator[str]:
    """label=value;warning;critical;minimum: what was never measured is left out."""
    for each in found.objectives:
        if each.actual_seconds is not None:
            yield f"{each.name}={each.actual_seconds:.0f}s;;{each.target_seconds:.0f};0"
    yield f"points={found.points};;;0"
    yield f"size={found.sizes.bytes}B;;;0"
    yield f"problems={len(found.red)};;0;0"
    yield f"warnings={len(found.findings) - len(found.red)};0;;0"


def _plain(words: str) -> str:
    """Without what would begin performance data, or another line."""
    return "".join(letter if letter.isprintable() else " " for letter in words).replace("|", "/")
