"""Names and links inside a bundle: what a name may be, and where a link really leads; pure."""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Mapping
from pathlib import PurePosixPath

# Linux's: NAME_MAX, PATH_MAX without the end, and how many links are followed.
_LONGEST_NAME = 255
_LONGEST_PATH = 4095
_MOST_LINKS = 40


def unprintable(name: str) -> bool:
    """Whether a name holds control characters: it could forge a line of a report or steer a terminal."""
    return any(unicodedata.category(character) == "Cc" for character in name)


def too_long(path: str) -> bool:
    """Whether no file can have this path."""
    longest = max((len(os.fsencode(part)) for part in path.split("/")), default=0)
    return longest > _LONGEST_NAME or len(os.fsencode(path)) > _LONGEST_PATH


def link_target(path: str, link: str) -> str:
    """Where a link at `path` leads, as an absolute path; links on the way are not followed."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def leads_to(path: str, links: Mapping[str, str]) -> str | None:
    """Where a link ends up, as the kernel follows it, by the links of the bundle; None if in a circle."""
    followed = 0
    here = "/"
    pending = _parts(path)
    while pending:
        part = pending.pop(0)
        if part == "..":
            here = posixpath.dirname(here)
            continue
        there = posixpath.join(here, part)
        if there not in links:
            here = there
            continue
        followed += 1
        if followed > _MOST_LINKS:
            return None
        link = links[there]
        here = "/" if link.startswith("/") else here
        pending = [*_parts(link), *pending]
    return here


def _parts(path: str) -> list[str]:
    return [part for part in PurePosixPath(path).parts if part not in ("/", "//")]
