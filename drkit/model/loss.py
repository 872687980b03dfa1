"""What production had at one point and had lost most of at a later one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Loss:
    """A number that has collapsed: `before` in the point `since`, taken at `since_at`, and `now`.

    It stands in the manifest of each later point until it is made good or confirmed.
    """

    subject: str
    before: int
    now: int
    since: str
    since_at: datetime


@dataclass(frozen=True)
class Collapse:
    """The losses that the point with this id has, and that nobody has confirmed."""

    point: str
    losses: tuple[Loss, ...]

    @property
    def said(self) -> str:
        """For a person."""
        return f"production has lost most of what it had: {said(self.losses, self.point)}"

    @property
    def hint(self) -> str:
        """What to do about it."""
        return (
            "see whether an empty volume or another database is in its place;"
            f" if it is intended, run `drkit points --confirm {self.point}`"
        )

    @property
    def warning(self) -> str:
        """Both in a sentence."""
        return f"{self.said}: {self.hint}"


def said(losses: tuple[Loss, ...], point: str) -> str:
    """`artifacts in database harbor: 17 in point A, 0 in point B; ...`, the first few."""
    some = [
        f"{loss.subject}: {loss.before:,} in point {loss.since}, {loss.now:,} in point {point}"
        for loss in losses[:_SHOWN]
    ]
    more = f"; and {len(losses) - _SHOWN} more" if len(losses) > _SHOWN else ""
    return "; ".join(some) + more


_SHOWN = 3
