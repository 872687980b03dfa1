"""A registry's tree as it came out of a snapshot: only what a registry keeps stays in it, and nothing runs.

Whoever can write to the repository decides what is in a snapshot. A link would lead out of the tree, a device
or a program of root's would be one on the restored host.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from drkit.errors import RestoreDamaged, ToolFailed
from drkit.registry import layouts, storage
from drkit.tools.tally import Tally

# Nothing is executed, nothing is for everybody to write to, nobody's identity is taken on.
_DIRECTORY, _FILE = 0o775, 0o664
# How long a link of a registry is: the name of the algorithm, a colon, its digits in hex.
_LINK_LENGTHS = (len("sha256:") + 64, len("sha512:") + 128)


def is_whole_link(length: int) -> bool:
    """Whether a link of a registry can have this length."""
    return length in _LINK_LENGTHS


class Grammar(NamedTuple):
    """Which directories and which files a registry keeps, by their paths relative to its root directory."""

    directory: Callable[[str], bool]
    file: Callable[[str], bool]


DISTRIBUTION = Grammar(storage.may_hold, storage.is_inside)
LAYOUTS = Grammar(layouts.may_hold, layouts.keeps)


@dataclass
class Cleaned:
    """What was taken out of a tree: `strange` is no part of a registry, `links` are empty or truncated.

    Both are counted, and the first few named, relative to the root.
    """

    strange: Tally[str] = field(default_factory=Tally)
    links: Tally[str] = field(default_factory=Tally)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What there is to say of it, a sentence each."""
        return (
            *_sentence(self.strange, "is no part of a registry and was left out"),
            *_sentence(self.links, "is a link that is empty or truncated, and was left out"),
        )


def clean(
    root: Path, *, cut_links: bool = True, grammar: Grammar = DISTRIBUTION, found: Cleaned | None = None
) -> Cleaned:
    """Take out everything but the directories and files of a registry's tree, and make those harmless.

    With `cut_links` also links of distribution's tree that cannot be any. What an earlier call `found` there
    counts as well.

    Nobody else may be able to reach the tree meanwhile. Raises RestoreDamaged where the root itself is no
    directory, ToolFailed.
    """
    found = found or Cleaned()
    try:
        if not stat.S_ISDIR(root.lstat().st_mode):
            raise RestoreDamaged(f"{root.name} was restored as something other than a directory")
        pending = [(str(root), "")]
        while pending:
            path, inside = pending.pop()
            _calm(path, os.stat(path).st_mode, _DIRECTORY | 0o700)  # noqa: PTH116 - there may be millions
            pending += list(_below(path, inside, found, grammar, cut_links=cut_links))
    except OSError as error:
        raise ToolFailed(f"cannot look at {error.filename}: {error.strerror}") from None
    return found


def _below(
    path: str, inside: str, found: Cleaned, grammar: Grammar, *, cut_links: bool
) -> Iterator[tuple[str, str]]:
    """The directories to go on with; `inside` is the path relative to the root."""
    with os.scandir(path) as entries:
        for entry in entries:
            name = f"{inside}/{entry.name}" if inside else entry.name
            if not entry.is_dir(follow_symlinks=False):
                _file(entry, name, found, grammar, cut_links=cut_links)
            elif grammar.directory(name):
                yield entry.path, name
            else:
                shutil.rmtree(entry.path)
                found.strange.add(name)


def _file(entry: os.DirEntry[str], name: str, found: Cleaned, grammar: Grammar, *, cut_links: bool) -> None:
    if not entry.is_file(follow_symlinks=False) or not grammar.file(name):
        os.unlink(entry.path)  # noqa: PTH108
        found.strange.add(name)
        return
    status = entry.stat(follow_symlinks=False)
    if cut_links and entry.name == "link" and not is_whole_link(status.st_size):
        os.unlink(entry.path)  # noqa: PTH108
        found.links.add(name)
        return
    _calm(entry.path, status.st_mode, _FILE)


def _calm(path: str, mode: int, wanted: int) -> None:
    have = stat.S_IMODE(mode)
    calm = have & wanted | (0o700 if stat.S_ISDIR(mode) else 0)
    if have != calm:
        os.chmod(path, calm)  # noqa: PTH101


def _sentence(tally: Tally[str], what: str) -> Iterator[str]:
    if tally:
        yield f"{tally} {what}"
