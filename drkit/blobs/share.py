"""A share of many blobs, as `--read-data-subset` names it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def share(subset: str | None, total: int) -> Callable[[str], bool]:
    """Which digests to read: `5%` by chance, `1/7` always the same, `2G` about as much of `total` bytes."""
    if subset is None:
        return lambda _digest: False
    part = re.fullmatch(r"(\d+)/(\d+)", subset)
    if part:
        number, count = int(part[1]) - 1, int(part[2])
        return lambda digest: int(digest[-15:], 16) % count == number
    if subset.endswith("%"):
        chance = float(subset[:-1]) / 100
    else:
        chance = int(subset[:-1]) * _UNITS[subset[-1]] / max(total, 1)
    dice = random.SystemRandom()
    return lambda _digest: chance >= 1 or dice.random() < chance
