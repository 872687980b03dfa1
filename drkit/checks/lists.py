"""Checks that the lists in a seal say what the restored database says: what is read from them is proved."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, not_provable, passed
from drkit.harbor import listing, named
from drkit.harbor.named import Named
from drkit.model import CheckKind
from drkit.registry import image_list
from drkit.registry.image_list import Listed
from drkit.tools.postgres import sessions
from drkit.tools.postgres.targets import Target

T = TypeVar("T")


def agree(listed: Iterable[T], found: Iterable[T], what: str) -> Finding:
    """What was listed at the time of the backup is what the restored database says, in the same order."""
    count = 0
    for here, there in itertools.zip_longest(listed, found):
        if here != there:
            return failed(f"the list says {_said(here)}, the restored database {_said(there)}")
        count += 1
    if not count:
        return not_provable(f"no {what}, as at the backup")
    return passed(f"{count:,} {what}, the same as at the backup")


def _said(entry: object) -> str:
    match entry:
        case None:
            return "nothing more"
        case Listed():
            return f"{entry.repository}:{entry.tag or '(no tag)'} is {entry.digest}"
        case Named():
            return f"{entry.kind} {entry.name}"
        case _:
            return str(entry)


def checks(target: Target, images: Path | None, names: Path | None) -> Iterator[Check]:
    """A check of each list that the point has."""
    if images is not None:
        yield Check(CheckKind.TAG_LIST, lambda: _images(target, image_list.from_file(images)))
    if names is not None:
        yield Check(CheckKind.NAMES, lambda: _names(target, named.from_file(names)))


def controls(target: Target, images: Path | None, names: Path | None) -> Iterator[Control | Unplanted]:
    """A tag that points elsewhere, and a name that is gone: each in the list as the check reads it."""
    if images is not None:
        first = next((each for each in image_list.from_file(images) if each.tag), None)
        if first is None:
            yield Unplanted("moved tag", "there is no tag")
        else:
            planted = f"{first.repository}:{first.tag} points elsewhere"
            yield Control("moved tag", planted, lambda: _images(target, _moved(images, first)))
    if names is not None:
        gone = next(named.from_file(names), None)
        if gone is None:
            yield Unplanted("lost name", "there is no name")
        else:
            planted = f"{gone.kind} {gone.name} is not in the list"
            rest = (each for each in named.from_file(names) if each != gone)
            yield Control("lost name", planted, lambda: _names(target, rest))


def _moved(images: Path, tag: Listed) -> Iterator[Listed]:
    for each in image_list.from_file(images):
        yield each._replace(digest=f"sha256:{'0' * 64}") if each == tag else each


def _images(target: Target, listed: Iterable[Listed]) -> Finding:
    with sessions.connect(target) as session, session.undone():
        return agree(listed, listing.images(session), "tags and untagged images")


def _names(target: Target, listed: Iterable[Named]) -> Finding:
    with sessions.connect(target) as session, session.undone():
        return agree(listed, listing.names(session), "names")
