"""What a run has read, in files by the first byte of its name: so it can be sorted a little at a time."""

from __future__ import annotations

import struct
import threading
from collections import deque
from pathlib import Path

from drkit.points.ledger import records
from drkit.points.ledger.records import NAME_BYTES, name_of, rounded

_PREFIXES = 256
_HELD_BYTES = 8192
_MANY = 4096
_LINE = struct.Struct(f">{NAME_BYTES}sH?")


class Spool:
    """Digests that were read, and whether they were right, for several threads.

    A few MiB are held, however many there are; what is held for each prefix at the end is what is in it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700)
        self._directory = directory
        self._held = [bytearray() for _ in range(_PREFIXES)]
        # How much of each file counts.
        self._sizes = [0] * _PREFIXES
        # Taken over many at a time: a lock for each of a million costs more than all else that is done here.
        self._new: deque[tuple[str, int, bool]] = deque()
        self._lock = threading.Lock()
        self._settled = 0

    @property
    def items(self) -> int:
        """How many were read."""
        return self._settled + len(self._new)

    def right(self, digest: str, size: int) -> None:
        """Its bytes were read, and hash to its name."""
        self._new.append((digest, size, True))
        if len(self._new) >= _MANY:
            self._settle()

    def wrong(self, digest: str, size: int) -> None:
        """Its bytes are others, or are gone."""
        self._new.append((digest, size, False))

    def of(self, prefix: int) -> dict[bytes, tuple[bool, int]]:
        """Name -> whether it was right, and its size as in a record, of those with that first byte.

        What was wrong once stays so.
        """
        self._settle()
        path = self._directory / f"{prefix:02x}"
        # Others may go on reading meanwhile.
        with self._lock:
            stored = path.read_bytes()[: self._sizes[prefix]] if path.exists() else b""
            data = stored + bytes(self._held[prefix])
        found: dict[bytes, tuple[bool, int]] = {}
        for name, size, right in _LINE.iter_unpack(data):
            known = found.get(name)
            found[name] = (right and (known is None or known[0]), size)
        return found

    def _settle(self) -> None:
        """Put what is new to what has its first byte; what comes meanwhile stays for the next time."""
        pack, held, new = _LINE.pack, self._held, self._new
        with self._lock:
            for _ in range(len(new)):
                digest, size, right = new.popleft()
                name = name_of(digest)
                of_prefix = held[name[0]]
                of_prefix += pack(name, rounded(size), right)
                self._settled += 1
                if len(of_prefix) >= _HELD_BYTES:
                    path, size = self._directory / f"{name[0]:02x}", self._sizes[name[0]]
                    self._sizes[name[0]] = records.append(path, of_prefix, size)
                    of_prefix.clear()
