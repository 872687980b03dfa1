"""The words of messages: the gravest comes first, in the title as in the body; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from drkit.model import Problem, ProblemKind

_LONGEST_TITLE = 140
# Of each section: a repository that is damaged may have hundreds of problems.
_MOST_LINES = 25
# What is said first: what is lost, then whether anything can be restored at all, then what failed.
_GRAVEST = (
    ProblemKind.DAMAGE,
    ProblemKind.POINTS_MISSING,
    ProblemKind.OTHER_REPOSITORY,
    ProblemKind.COLLAPSE,
    ProblemKind.NO_POINT,
    ProblemKind.BROKEN_SEAL,
    ProblemKind.LOST_RUN,
    ProblemKind.LAST_RUN,
    ProblemKind.NEVER_RAN,
    ProblemKind.DRILL,
    ProblemKind.OBJECTIVE,
)
_GOOD_AGAIN = {
    ProblemKind.LAST_RUN: "{} works again",
    ProblemKind.LOST_RUN: "{} works again",
    ProblemKind.NEVER_RAN: "{} runs again",
    ProblemKind.OBJECTIVE: "the objective {} is met again",
    ProblemKind.NOT_COPIED: "the copy in {} is young enough again",
    ProblemKind.REPOSITORY: "the repository {} can be read again",
    ProblemKind.NOT_TOLD: "{} reaches everybody again",
}


class Was(Protocol):
    """A problem that is over."""

    @property
    def kind(self) -> ProblemKind:
        """What it was."""

    @property
    def subject(self) -> str:
        """What it was about."""

    @property
    def message(self) -> str:
        """What was said of it."""


def gravity(problem: Problem) -> tuple[bool, int]:
    """What problems are sorted by, the gravest first."""
    kind = problem.kind
    return not problem.red, _GRAVEST.index(kind) if kind in _GRAVEST else len(_GRAVEST)


def title(
    site: str,
    new: Sequence[Problem],
    still: Sequence[Problem],
    gone: Sequence[Was],
    passed: Sequence[Problem],
    *,
    missed: bool,
) -> str:
    """What stands on the first line: never that something is well while something else is red."""
    said = ""
    if new:
        said = _first(new, len(still))
    elif any(problem.red for problem in still):
        said = f"still {_first(still, 0)}"
        said += f"; {good_again(gone[0])}" if gone else ""
    elif passed:
        said = f"made good: {passed[0].message}"
    elif gone:
        more = f" (and {len(gone) - 1} more)" if len(gone) > 1 else ""
        said = f"OK: {good_again(gone[0])}{more}"
    elif still:
        said = f"still {_first(still, 0)}"
    elif missed:
        said = "OK: messages arrive again"
    return _cut(f"drkit {site}: {said}")


def _first(problems: Sequence[Problem], others: int) -> str:
    first = problems[0]
    more = len(problems) - 1 + others
    return f"{'RED' if first.red else 'warning'}: {first.message}" + (f" (and {more} more)" if more else "")


def _cut(line: str) -> str:
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST_TITLE else f"{line[: _LONGEST_TITLE - 3].rstrip()}..."


def good_again(was: Was) -> str:
    """That a problem is over."""
    words = _GOOD_AGAIN.get(was.kind)
    return words.format(was.subject) if words else f"no longer so: {was.message}"


def body(
    new: Sequence[Problem],
    still: Sequence[Problem],
    gone: Sequence[Was],
    passed: Sequence[Problem],
    missed: str,
    after: str,
) -> str:
    """Everything, with what to do about it."""
    sections = [
        list(_section("New", new)),
        list(_section("Still", still)),
        # A run that was killed and one that failed are made good by the same.
        ["Good again:", *dict.fromkeys(f"- {good_again(was)}" for was in gone)] if gone else [],
        ["Was so until this run:", *(f"- {problem.message}" for problem in passed)] if passed else [],
        [f"An earlier message did not arrive: {missed}"] if missed else [],
        [after] if after else [],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _section(name: str, problems: Sequence[Problem]) -> Iterator[str]:
    if problems:
        yield f"{name}:"
    for problem in problems[:_MOST_LINES]:
        yield f"- {'RED' if problem.red else 'warning'}: {problem.message}"
        if problem.hint:
            yield f"  {problem.hint}"
    if len(problems) > _MOST_LINES:
        yield f"- and {len(problems) - _MOST_LINES} more: see `drkit status`"
