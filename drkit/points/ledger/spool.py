"""What a run has read, in files by the first byte of its name: so it can be sorted a little at a time."""

from __future__ import annotations

import struct
import threading
from pathlib import Path

from drkit.points.ledger.records import NAME_BYTES, name_of, rounded

_PREFIXES = 256
_HELD_BYTES = 8192
_LINE = struct.Struct(f">{NAME_BYTES}sH?")


class Spool:
    """Digests that were read, and whether they were right, for several threads.

    A few MiB are held, however many there are; what is held for each prefix at the end is what is in it.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700)
        self._directory = directory
        self._held = [bytearray() for _ in range(_PREFIXES)]
        self._lock = threading.Lock()
        self.items = 0

    def right(self, digest: str, size: int) -> None:
        """Its bytes were read, and hash to its name."""
        self._add(digest, size, True)

    def wrong(self, digest: str, size: int) -> None:
        """Its bytes are others, or are gone."""
        self._add(digest, size, False)

    def of(self, prefix: int) -> dict[bytes, tuple[bool, int]]:
        """Name -> whether it was right, and its size as in a record, of those with that first byte.

        What was wrong once stays so.
        """
        path = self._directory / f"{prefix:02x}"
        data = (path.read_bytes() if path.exists() else b"") + bytes(self._held[prefix])
        found: dict[bytes, tuple[bool, int]] = {}
        for name, size, right in _LINE.iter_unpack(data):
            known = found.get(name)
            found[name] = (right and (known is None or known[0]), size)
        return found

    def _add(self, digest: str, size: int, right: bool) -> None:
        name = name_of(digest)
        line = _LINE.pack(name, rounded(size), right)
        held = self._held[name[0]]
        with self._lock:
            held += line
            self.items += 1
            if len(held) >= _HELD_BYTES:
                with (self._directory / f"{name[0]:02x}").open("ab") as file:
                    file.write(held)
                held.clear()
