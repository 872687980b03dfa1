"""Who did work that was spread over a cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shared:
    """How many workers of which scheduler; in a sentence each, those that were not used, or not trusted."""

    scheduler: str
    workers: int
    units: int
    set_aside: tuple[str, ...] = ()
