"""A file of sorted lines in which one is found by halves: five million lines take some twenty looks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from drkit.errors import ToolFailed

# No line is longer: a key and a version of an object, or the name of a repository, have 1024 bytes at most.
_LONGEST = 8192
_PIECE = 1 << 16


class SortedLines:
    """The lines of a file that is called `what`; for several threads at once. Raises ToolFailed."""

    def __init__(self, path: Path, what: str) -> None:
        # Not mapped into memory: a page that cannot be read would end drkit without a word.
        self._file = path.open("rb", buffering=0)
        self._size = path.stat().st_size
        self._what = what

    def close(self) -> None:
        """Let go of the file; one that is not there any more, with its file system, as well."""
        with contextlib.suppress(OSError):
            self._file.close()

    def since(self, reached: Callable[[bytes], bool]) -> Iterator[bytes]:
        """The lines from the first on that has `reached` what is looked for; so have all behind it."""
        low, high = 0, self._size
        while low < high:
            begin, line = self._line_at((low + high) // 2)
            # An empty line is all there is of a list of nothing.
            if not line or reached(line):
                high = begin
            else:
                low = begin + len(line) + 1
        return self._from(low)

    def _line_at(self, position: int) -> tuple[int, bytes]:
        """Where the line begins that has the byte at a position, and the line."""
        start = max(0, position - _LONGEST)
        data = self._read(2 * _LONGEST, start)
        begin = data.rfind(b"\n", 0, position - start) + 1
        end = data.find(b"\n", position - start)
        return start + begin, data[begin:] if end < 0 else data[begin:end]

    def _from(self, position: int) -> Iterator[bytes]:
        rest = b""
        while data := self._read(_PIECE, position):
            position += len(data)
            *lines, rest = (rest + data).split(b"\n")
            yield from filter(None, lines)
        if rest:
            yield rest

    def _read(self, count: int, position: int) -> bytes:
        try:
            return os.pread(self._file.fileno(), count, position)
        except OSError as error:
            raise ToolFailed(f"cannot read {self._what}: {error.strerror}") from None
