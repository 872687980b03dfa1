"""Many sites at once: what each has said of itself, and which is worst; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class SiteState(StrEnum):
    """How a site is, the worst first."""

    UNKNOWN = "unknown"
    UNREADABLE = "unreadable"
    RED = "red"
    WARNINGS = "warnings"
    GREEN = "green"


_ORDER = tuple(SiteState)


@dataclass(frozen=True)
class SiteLine:
    """One site of many; `file` is its configuration, and `site` the name in it, as far as that is known.

    `unknown`: it could not be looked at, for its configuration cannot be read, say. `unreadable`: its primary
    repository cannot be. `exit_code`, `kind`, `message` and `hint` are those of its own `drkit status`, `red`
    and `warnings` the sentences of what is wrong.
    """

    file: str
    site: str
    state: SiteState
    exit_code: int
    kind: str = ""
    message: str = ""
    hint: str = ""
    newest_point: str | None = None
    newest_point_at: datetime | None = None
    last_passed_drill_at: datetime | None = None
    missed: tuple[str, ...] = ()
    red: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def first(self) -> str:
        """What is said of it in one line."""
        if self.state in (SiteState.UNKNOWN, SiteState.UNREADABLE):
            return self.message
        return next(iter((*self.red, *self.warnings)), "")


@dataclass(frozen=True)
class Sites:
    """The sites of a directory, the worst first, as they were at the moment `at`."""

    directory: str
    at: datetime
    sites: tuple[SiteLine, ...]

    @property
    def bad(self) -> tuple[SiteLine, ...]:
        """Those that are not green."""
        return tuple(each for each in self.sites if not is_good(each.state))

    def count(self, state: SiteState) -> int:
        """How many are so."""
        return sum(each.state is state for each in self.sites)


def is_good(state: SiteState) -> bool:
    """Whether a site's own `status` ends with 0."""
    return state in (SiteState.WARNINGS, SiteState.GREEN)


def worst_first(lines: Sequence[SiteLine]) -> tuple[SiteLine, ...]:
    """By state, then by how much is wrong, then by how old the newest point is."""

    def rank(line: SiteLine) -> tuple[int, int, int, float, str]:
        at = line.newest_point_at.timestamp() if line.newest_point_at else 0.0
        return _ORDER.index(line.state), -len(line.red), -len(line.warnings), at, line.file

    return tuple(sorted(lines, key=rank))
