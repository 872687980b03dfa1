"""Image blobs that no disk here can hold: served from a mount of the repository, read once as a stream."""

from __future__ import annotations

import contextlib
import hashlib
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from drkit.blobs.directory.cleaning import Cleaned
from drkit.errors import RestoreDamaged, ToolFailed
from drkit.model import Part
from drkit.points import seals
from drkit.points.seal_files import SealFiles
from drkit.progress import Listener, Meter
from drkit.registry import storage
from drkit.registry.ledger import Ledger
from drkit.sandbox.blobs import STREAMING, RestoredBlobs
from drkit.tools.restic import mount
from drkit.tools.restic.mount import Mount
from drkit.tools.restic.output import Node
from drkit.tools.restic.repository import Repository
from drkit.tools.tar import stream


@dataclass
class StreamedBlobs:
    """The blobs of a point whose images were in a directory; the mount stays for as long as `stack`."""

    repository: Repository
    files: SealFiles
    directory: Path
    stack: ExitStack
    ledger: Ledger
    listener: Listener
    _found: Cleaned = field(default_factory=Cleaned)
    _has_blobs: bool = False
    # What is read at this moment.
    _now: str = ""

    def open(self) -> tuple[Mount, Path]:
        """Mount the registry's root directory, read-only; returns the mount, and it.

        Raises RestoreDamaged where something in it is neither file nor directory, ToolMissing without FUSE.
        """
        self._look()
        place = self.directory / "repository"
        place.mkdir(mode=0o700)
        tag = f"{seals.POINT}{self.files.manifest.id}"
        mounted = self.stack.enter_context(mount.mounted(self.repository.access, place, tag))
        return mounted, mounted.snapshot(self._part.snapshot) / self._part.path.lstrip("/")

    def read(self, mounted: Mount, root: Path) -> RestoredBlobs:
        """Hash every blob once, as a stream; the ledger knows then which are right.

        Raises ToolFailed that names the blob which cannot be read.
        """
        meter = Meter(self.listener, STREAMING, self._part.bytes)
        if self._has_blobs:
            try:
                self._read_all(meter)
            except ToolFailed as error:
                blob = self._now or "the first blob"
                raise ToolFailed(
                    f"{blob} cannot be read from the repository: {error.message}; run"
                    " `drkit verify --read-data-subset 100%`, which names all that is damaged there",
                    hint=error.hint,
                ) from None
        return RestoredBlobs(root, self._found, elsewhere=mounted)

    def _read_all(self, meter: Meter) -> None:
        whence = f"{self._part.snapshot}:{self._part.path}"
        with contextlib.closing(self.repository.archive(whence, f"/{storage.BLOBS}")) as pieces:
            for member in stream.members(pieces, "the stream of the blobs"):
                self._now = storage.digest_of_blob(f"/{member.name}") or member.name
                self._hash(member, meter)

    def _hash(self, member: stream.Member, meter: Meter) -> None:
        digest, found = storage.digest_of_blob(f"/{member.name}"), hashlib.sha256()
        for piece in member.pieces:
            found.update(piece)
            meter.add(len(piece))
        if digest == f"sha256:{found.hexdigest()}":
            self.ledger.confirm(digest)

    @property
    def _part(self) -> Part:
        return self.files.manifest.need("blobs", "blobs")

    def _look(self) -> None:
        """Look at every name before anything is opened: behind a link would be production."""

        def special(node: Node) -> None:
            raise RestoreDamaged(
                f"{node.path} in the snapshot of the blobs is a {node.type}, which no registry has",
                hint="make room in the sandbox's directory: a drill that restores blobs leaves it out",
            )

        top = f"{self._part.path}/"
        for path, _size in self.repository.files(self._part.snapshot, self._part.path, special=special):
            name = path.removeprefix(top)
            self._has_blobs |= name.startswith(f"{storage.BLOBS}/")
            if not storage.is_inside(name):
                self._found.strange.add(name)
