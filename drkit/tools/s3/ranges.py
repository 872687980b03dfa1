"""How a listing is cut into ranges of keys that can be asked for side by side: pure, from what a page says.

Keys below `sha256/` are spread evenly, so that one page says how many there are: the rest is cut into ranges
that each fit into a page. Elsewhere a range that takes several pages is cut at the names that stand below it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from drkit.tools.s3.pages import Page

# So many pages of a range follow each other before it is worth asking how to cut it.
PATIENCE = 4
# How much of a page is planned for: where chance puts a few more keys into a range, they still fit.
_PLANNED = 0.85
# So much of a page says how close to each other the keys of an area are.
_SAMPLE = 0.2
_NAMED_PIECES = 64
# Far more than one cut needs; keys that are not spread evenly must not make it endless.
_MOST_PIECES = 100_000
_DIGITS = 12
_LAST = "\U0010ffff"
_HASHED = re.compile(r"(?P<area>.*sha256/)(?P<folder>[0-9a-f]{2}/)?(?P<hash>[0-9a-f]{64})(?:/|$)")


@dataclass(frozen=True)
class Range:
    """The keys below `prefix`, behind `after`, up to `end` (None: to the last).

    `following` is how the server wants to be asked for its next page; `pages` of it have come already. With
    `names` the names below `within` are wanted, at which it can be cut.
    """

    prefix: str
    within: str
    after: str = ""
    end: str | None = None
    following: Mapping[str, str] | None = None
    pages: int = 0
    names: bool = False


def left(done: Range, page: Page, *, full: int, versions: bool) -> list[Range]:
    """What a page leaves of its range: nothing, one range that goes on, or many.

    `full` is how many keys a page can have. Versions are cut by prefix alone, since servers differ in what
    they make of a marker that is no key; what is named otherwise than hashes are is not looked for there.
    """
    if done.names:
        return _by_name(done, page)
    last = page.objects[-1].key if page.objects else done.after
    if page.following is None or (done.end is not None and last > done.end):
        return []
    rest = replace(done, after=last, following=page.following, pages=done.pages + 1)
    area, position, pieces = _estimate(page, full)
    if versions:
        return _by_digits(rest, area, pieces) if area == rest.prefix and rest.end is None else [rest]
    cuts = _even(area, position, pieces, done.end)
    return _cut(rest, cuts) if cuts else [replace(rest, names=rest.pages == PATIENCE)]


def _estimate(page: Page, full: int) -> tuple[str, float, int]:
    """The area of hashes that a page ends in, how far it has come there, how many pages of it are left."""
    found = _HASHED.match(page.objects[-1].key) if page.objects else None
    if found is None:
        return "", 1.0, 0
    area = found["area"]
    here = [one.key for one in page.objects if one.key.startswith(area)]
    first, last = (_position(key, area) for key in (here[0], here[-1]))
    if len(here) < _SAMPLE * full or last <= first:
        return area, last, 0
    keys = (1 - last) * len(here) / (last - first)
    return area, last, min(math.ceil(keys / (_PLANNED * full)), _MOST_PIECES)


def _position(key: str, area: str) -> float:
    """Where a key's hash stands between the first (0) and the last (1) that there could be."""
    found = _HASHED.match(key)
    return int(found["hash"][:_DIGITS], 16) / 16**_DIGITS if found and found["area"] == area else 0.0


def _even(area: str, position: float, pieces: int, end: str | None) -> list[str]:
    """Where to cut what is left of an area: no object has such a key, since it is shorter than a hash."""
    digits = (
        f"{int((position + (1 - position) * number / pieces) * 16**_DIGITS):0{_DIGITS}x}"
        for number in range(1, pieces)
    )
    cuts = (f"{area}{each[:2]}/{each}" for each in digits)
    return list(takewhile(lambda cut: end is None or cut < end, cuts))


def _by_digits(rest: Range, area: str, pieces: int) -> list[Range]:
    """One range for each beginning of a hash that is still to come; none of them is cut again."""
    width = 0 if pieces < 4 else 1 if pieces < 64 else 2
    if not width:
        return [rest]
    here = rest.after[len(area) :][:width]
    digits = (f"{number:0{width}x}" for number in range(16**width))
    prefixes = [area + each for each in digits if each > here]
    return [replace(rest, end=area + here + _LAST), *(Range(prefix, prefix) for prefix in prefixes)]


def _by_name(done: Range, page: Page) -> list[Range]:
    """Cut at the names that a page has, or look one level deeper if there is nothing to cut here."""
    names = [name for name in page.prefixes if name > done.after and (done.end is None or name < done.end)]
    inner = done.after[len(done.within) :] if done.after.startswith(done.within) else ""
    deeper = done.within + inner[: inner.find("/") + 1]
    if names:
        stride = -(-len(names) // _NAMED_PIECES)
        return _cut(replace(done, names=False, within=deeper), names[::stride], single=stride == 1)
    if deeper != done.within:
        return [replace(done, within=deeper)]
    return [replace(done, names=False)]


def _cut(rest: Range, cuts: Sequence[str], *, single: bool = False) -> list[Range]:
    """The range in pieces that end and begin there; the first goes on where it is.

    A cut belongs to the piece that it ends: what begins behind it begins behind a key that may exist.
    """
    ends = (*cuts[1:], rest.end)
    return [
        replace(rest, end=cuts[0], pages=0),
        *(
            Range(rest.prefix, cut if single else rest.within, after=cut, end=end)
            for cut, end in zip(cuts, ends, strict=True)
        ),
    ]
