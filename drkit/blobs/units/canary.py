"""A canary: one blob of a unit that is named with a wrong size, so that it cannot be found right.

Whoever reads its bytes tells what the first of them hash to. This machine knows that, having read them
itself. Whoever repeats what it was told, or reads another directory than this machine does, cannot. Nothing
is written for it, so that it can be planted in what must not be changed; and a worker cannot tell it from
other blobs without a look at what is stored.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from typing import NamedTuple

from drkit.blobs.inventory import Entry
from drkit.blobs.units.unit import Outcome, Unit, Wrong

# So many bytes of a blob are read at most to plant one.
_HEAD = 64 << 10
_TRIES = 8


class Canary(NamedTuple):
    """The blob with its wrong size, where in the unit it stands, and what its first bytes hash to."""

    entry: Entry
    position: int
    digits: str

    def planted(self, unit: Unit) -> tuple[Entry, ...]:
        """The unit's blobs and the canary among them."""
        return (*unit.items[: self.position], self.entry, *unit.items[self.position :])

    def is_answered(self, found: Outcome) -> bool:
        """Whether who says this of the canary has read it."""
        return found == Wrong("longer", self.entry.size, self.digits)


def plant(unit: Unit, head: Callable[[Entry, int], bytes], dice: random.Random) -> Canary | None:
    """Choose a blob of the unit by chance and read its first bytes; None where that is possible with none.

    A blob of a single byte, or an empty one, has no wrong size that tells anything.
    """
    able = [item for item in unit.items if item.size > 1]
    for entry in dice.sample(able, min(_TRIES, len(able))):
        data = head(entry, min(_HEAD, entry.size))
        if len(data) > 1:
            size = dice.randrange(1, len(data))
            digits = hashlib.sha256(data[:size]).hexdigest()
            return Canary(entry._replace(size=size), dice.randrange(len(unit.items) + 1), digits)
    return None


def still_holds(canary: Canary, head: Callable[[Entry, int], bytes]) -> bool:
    """Whether this machine reads the same bytes again: what is deleted meanwhile makes nobody a liar."""
    return hashlib.sha256(head(canary.entry, canary.entry.size)).hexdigest() == canary.digits
