"""How far long work has got: a value that the work reports and the command line draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Update:
    """One piece of work (`stage`) and how far it is; `total` is None while nobody knows."""

    stage: str
    done: float = 0
    total: float | None = None
    unit: Literal["bytes", "items", ""] = ""
    finished: bool = False


Listener = Callable[[Update], None]


def wants_totals(listener: Listener) -> bool:
    """Whether somebody looks at how much is left, which may take a walk over everything to find out."""
    return bool(getattr(listener, "wants_totals", False))


def silent(_update: Update) -> None:
    """The listener of work that nobody watches."""
