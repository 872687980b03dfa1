"""A registry's root directory on a file system of the tests' own."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from random import Random

from drkit.blobs.directory.capture import reading_order
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from drkit.volumes import freeze
from drkit.volumes.choice import Wanted
from drkit.volumes.freeze import Place, View, frozen
from tests import filesystems

TREE = "docker/registry/v2"


@dataclass(frozen=True)
class Case:
    """A registry's root directory on a file system, and the kind that is wanted for it."""

    wanted: Wanted
    kind: str
    root: Path
    top: Path
    state: Path

    @property
    def place(self) -> Place:
        return Place(self.state, "drkit-registry.example.com-20261124-020000-4f2a9c")

    def frozen(self, wanted: Wanted | None = None) -> contextlib.AbstractContextManager[View]:
        return frozen(self.root, wanted or self.wanted, self.place, reading_order)

    def left(self) -> list[str]:
        """What is still there of a volume snapshot: itself, its record, a mount."""
        records = [str(path) for path in freeze.records(self.state)]
        mounts = filesystems.mounts_below(self.state) + filesystems.mounts_below(self.top)
        return filesystems.left(self.top) + records + mounts


def fill(root: Path, count: int, seed: int = 0) -> None:
    """Blobs with links, an upload in flight, and owners, modes and times that are not ours."""
    chance = Random(seed)
    for _ in range(count):
        digits = f"{chance.getrandbits(256):064x}"
        blob = root / TREE / "blobs/sha256" / digits[:2] / digits
        link = root / TREE / "repositories/library/app/_layers/sha256" / digits
        for directory in (blob, link):
            directory.mkdir(parents=True)
        (blob / "data").write_bytes(chance.randbytes(50_000))
        (link / "link").write_text(f"sha256:{digits}")
        (link / "link").chmod(0o640)
        for path in (blob / "data", link / "link", blob, link):
            os.chown(path, 10_000, 10_001)
            os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_001_987_654_321))
    upload = root / TREE / "repositories/library/app/_uploads/1/data"
    upload.parent.mkdir(parents=True, exist_ok=True)
    upload.write_bytes(b"in flight")


def listing(root: Path, mounts: tuple[tuple[str, ...], ...] = ()) -> str:
    """Names, owners, modes, times and content below a root, but for uploads and drkit's own."""
    script = (
        'cd "$1" && find . ! -path "*/_uploads*" ! -path "./.drkit-*" ! -path .'
        ' -printf "%P %U:%G %m %T@ %y\\n" | sort;'
        ' find . -type f ! -path "*/_uploads*" ! -path "./.drkit-*" -print0 | sort -z | xargs -0 sha256sum'
    )
    return execute.check(Command(("sh", "-c", script, "sh", str(root)), mounts=mounts)).text
