"""Who did work that was spread over a cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shared:
    """How many workers of which scheduler; a sentence each on those not used, not trusted, or mistaken."""

    scheduler: str
    workers: int
    units: int
    set_aside: tuple[str, ...] = ()
