"""Taking back what was made, where the whole fails: as callbacks of an ExitStack."""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from pathlib import Path

from drkit.state.directory import remove_tree


def directory(undo: ExitStack, path: Path) -> None:
    """A directory that is going to be made, with all above it that are not there; removed if empty."""
    for each in reversed([each for each in (path, *path.parents) if not each.exists()]):
        undo.callback(_remove_empty, each)


def tree(undo: ExitStack, path: Path) -> None:
    """A directory that is going to be made, and is drkit's own with all that comes into it."""
    directory(undo, path.parent)
    if not path.exists():
        undo.callback(remove_tree, path)


def _remove_empty(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.rmdir()
