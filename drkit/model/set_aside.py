"""The names that a restore gives: what it sets aside is `NAME.before-POINT`, with one such ending only."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from pathlib import Path

# The ending with a point's id, and the number that tells apart what several restores of one point set aside.
_ENDING = re.compile(r"\.before-\d{8}-\d{6}-[0-9a-f]{6}(?:-\d+)?$")
# A file is written under this name first, so that an interrupted restore leaves no half of one.
PARTIAL = ".drkit-partial"
_LONGEST_NAME = 255


def is_aside(name: str) -> bool:
    """Whether this is the name of something that a restore has set aside."""
    return _ENDING.search(name) is not None


def original(path: Path) -> Path:
    """What something that was set aside was called before; a name that was cut to fit stays cut."""
    return path.with_name(_ENDING.sub("", path.name))


def free_path(path: Path, point: str) -> Path:
    """Where `path` is set aside: a second restore never overwrites what the first one set aside."""
    return next(found for found in _names(path, point) if not there(found))


def taken(path: Path, point: str) -> tuple[Path, ...]:
    """What restores of this point have set aside there so far, the first one first."""
    return tuple(itertools.takewhile(there, _names(path, point)))


def _names(path: Path, point: str) -> Iterator[Path]:
    first = f".before-{point}"
    plain = _ENDING.sub("", path.name)
    for ending in itertools.chain([first], (f"{first}-{number}" for number in itertools.count(2))):
        yield path.with_name(_ended(plain, ending))


def _ended(name: str, ending: str) -> str:
    """The name with the ending; a name that would be too long for a file system loses its last letters."""
    while len(os.fsencode(name + ending)) > _LONGEST_NAME:
        name = name[:-1]
    return name + ending


def there(path: Path) -> bool:
    """Whether there is anything of that name, a link that leads nowhere included."""
    return os.path.lexists(path)
