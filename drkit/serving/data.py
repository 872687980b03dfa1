"""Where the bytes of blobs are; those in a vault, by a point's inventory, are VaultData's."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from drkit.errors import ToolFailed
from drkit.registry import storage

_PIECE = 1 << 20


class Data(Protocol):
    """Blobs by the digest that they are stored by; every method may raise ToolFailed."""

    def size(self, digest: str) -> int | None:
        """How long a blob is, or None where there is none."""

    def read(self, digest: str, first: int) -> Iterator[bytes]:
        """The bytes of a blob from one on; nobody has looked at them yet."""

    def wrong(self, digest: str) -> None:
        """Be told that a blob was read, and is another."""


class TreeData:
    """Those of a storage tree."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def size(self, digest: str) -> int | None:
        """See Data."""
        try:
            found = storage.blob_path(self._root, digest).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ToolFailed(f"cannot find {digest}: {error.strerror}") from None
        # To open a pipe or a device would wait for ever, or do something.
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def read(self, digest: str, first: int) -> Iterator[bytes]:
        """See Data."""
        try:
            file = storage.blob_path(self._root, digest).open("rb")
            try:
                file.seek(first)
                while piece := file.read(_PIECE):
                    yield piece
            finally:
                # Where the mount is gone, closing is an error as well, and nobody's concern.
                with contextlib.suppress(OSError):
                    file.close()
        except OSError as error:
            raise ToolFailed(f"cannot read {digest}: {error.strerror}") from None

    def wrong(self, digest: str) -> None:
        """See Data: a snapshot stays as it is."""
