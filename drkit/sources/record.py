"""What one attempt at a recovery point gives: its parts as they are stored, and facts for its manifest."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from drkit import config
from drkit.errors import DrkitError
from drkit.model import (
    Bucketed,
    CertificateFacts,
    Closure,
    DatabaseEvidence,
    Manifest,
    Part,
    PartKind,
    SecretFile,
    Volume,
)
from drkit.progress import Listener
from drkit.sources import digests, json_lines
from drkit.sources.bucket.point import InVault, Keep
from drkit.sources.bundle import Member
from drkit.sources.closure import Proof
from drkit.state import State
from drkit.tools.restic import Repository
from drkit.tools.restic_output import Saved

Tagger = Callable[[PartKind, str], tuple[str, ...]]


@dataclass
class Captured:
    """What the sources of one attempt gave; filled by one thread an item, each its own field or key."""

    parts: list[Part] = field(default_factory=list)
    evidence: list[DatabaseEvidence] = field(default_factory=list)
    closure: Closure | None = None
    warnings: list[str] = field(default_factory=list)
    failures: dict[str, DrkitError] = field(default_factory=dict)
    secret_files: tuple[SecretFile, ...] = ()
    members: tuple[Member, ...] = ()
    certificates: tuple[CertificateFacts, ...] = ()
    fingerprint_key: str = ""
    digest_count: int = 0
    consistent_at: datetime | None = None
    gone: tuple[str, ...] = ()
    volume: Volume | None = None
    bucket: Bucketed | None = None


@dataclass(frozen=True)
class Record:
    """Where an attempt stores what it captures, and what it has captured so far.

    `directory` is private to this run, `tags` names a part's snapshot, `before` is the last sealed point.
    """

    settings: config.Config
    repository: Repository
    directory: Path
    tags: Tagger
    listener: Listener
    before: Manifest | None = None
    captured: Captured = field(default_factory=Captured)

    @property
    def host(self) -> str:
        """What restic takes for the host: all snapshots of a site belong together."""
        return self.settings.site.name

    @property
    def state(self) -> State:
        """The site's state directory."""
        return State(self.settings.site.state)

    @contextlib.contextmanager
    def part(self, kind: PartKind, name: str, path: str) -> Iterator[Keep]:
        """Times a capture, and records it as a part once `keep` is told what was saved."""
        started = time.monotonic()
        where = path if path.startswith("/") else f"/{path}"

        def keep(saved: Saved, in_vault: InVault | None = None) -> None:
            took = round(time.monotonic() - started, 3)
            part = Part(kind, name, saved.snapshot, where, saved.bytes, saved.added_bytes, took)
            if in_vault is not None:
                added = saved.added_bytes + in_vault.added
                part = replace(part, bytes=in_vault.bytes, added_bytes=added, snapshot_bytes=saved.bytes)
            self.captured.parts.append(part)

        yield keep

    def save_stream(self, pieces: Iterable[bytes], name: str, kind: PartKind) -> Saved:
        """Store a stream as the one file of a part that there is one of."""
        return self.repository.save_stream(pieces, name, self.tags(kind, kind), self.host)

    def save_digests(self, listed: Path) -> None:
        """Store the list of digests that must be there."""
        with self.part("digests", "digests", digests.FILE_NAME) as keep:
            keep(self.save_stream(json_lines.pieces(listed), digests.FILE_NAME, "digests"))

    def keep_proof(self, proof: Proof) -> None:
        """Remember what was proved; raises ToolFailed where the capture lacks what production has."""
        self.captured.closure = proof.closure
        self.captured.gone = proof.gone
        self.captured.warnings += proof.warnings
        proof.raise_if_torn()

    def take_back(self, snapshot: str) -> None:
        """A part that is worth nothing: forgotten, so that the point has only one of its kind."""
        (part,) = (part for part in self.captured.parts if part.snapshot == snapshot)
        # In place: other threads add theirs meanwhile.
        self.captured.parts.remove(part)
        self.repository.forget([snapshot])

    def forget(self) -> None:
        """Take back every snapshot; what cannot be taken back now, the next run sweeps."""
        with contextlib.suppress(DrkitError):
            self.repository.forget([part.snapshot for part in self.captured.parts])
