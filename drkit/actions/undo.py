"""Taking back what was made, where the whole does not come off."""

from __future__ import annotations

import contextlib
from pathlib import Path

from drkit.state.directory import remove_tree


class Undo:
    """Takes away again what was made within its block, unless it is told to keep it."""

    def __init__(self) -> None:
        self._files: list[Path] = []
        self._trees: list[Path] = []
        self._directories: list[Path] = []
        self._kept = False

    def file(self, path: Path) -> None:
        """A file that has been made."""
        self._files.append(path)

    def directory(self, path: Path) -> None:
        """A directory that is going to be made, with all above it that are not there; removed if empty."""
        self._directories += [each for each in (path, *path.parents) if not each.exists()]

    def tree(self, path: Path) -> None:
        """A directory that is going to be made, and is drkit's own with all that comes into it."""
        if not path.exists():
            self._trees.append(path)
        self.directory(path.parent)

    def keep(self) -> None:
        """Everything went well."""
        self._kept = True

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept:
            return
        for path in self._files:
            path.unlink(missing_ok=True)
        for path in filter(Path.is_dir, self._trees):
            remove_tree(path)
        for path in sorted(self._directories, key=lambda path: -len(path.parts)):
            with contextlib.suppress(OSError):
                path.rmdir()
