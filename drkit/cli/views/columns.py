"""How wide the columns of a table are; pure."""

from __future__ import annotations

from collections.abc import Sequence

GAP = 2
# What the last column needs at least to be read: longer words in it may stick out at the right.
_READABLE = 24


def widths(natural: Sequence[int], least: Sequence[int], width: int) -> list[int] | None:
    """The width of each column, GAP apart, in cells; None where the table does not fit.

    `natural` is what a column would like to have, `least` the longest word in it, which is never broken. What
    is left over goes first to columns that need little, so that only the long ones are wrapped.
    """
    wanted = [max(pair) for pair in zip(natural, least, strict=True)]
    found = [*least[:-1], min(least[-1], _READABLE)]
    spare = width - sum(found) - GAP * (len(found) - 1)
    if spare < 0:
        return None
    by_need = sorted(range(len(found)), key=lambda column: wanted[column] - found[column])
    for position, column in enumerate(by_need):
        share = spare // (len(by_need) - position)
        more = min(share, wanted[column] - found[column])
        found[column] += more
        spare -= more
    return found
