"""What one attempt at a recovery point has captured so far: its parts, and facts for its manifest."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from drkit.actions.backup.task import Task
from drkit.blobs.bucket.point import InVault
from drkit.blobs.closure import Proof
from drkit.errors import DrkitError
from drkit.model import (
    Bucketed,
    CertificateFacts,
    Closure,
    DatabaseEvidence,
    Drift,
    KeyFault,
    Part,
    PartKind,
    SecretFile,
    Shared,
    Volume,
    utc_now,
)
from drkit.secrets.bundle import Member
from drkit.tools.restic.output import Saved
from drkit.tools.restic.repository import Repository


@dataclass
class Draft:
    """One attempt at the recovery point `point`; filled by one thread a task, each its own field or key.

    `directory` is private to it; what is to be in the seal stands in `sealed` until then.
    """

    point: str
    attempt: int
    directory: Path
    started_at: datetime = field(default_factory=utc_now)
    parts: list[Part] = field(default_factory=list)
    evidence: list[DatabaseEvidence] = field(default_factory=list)
    closure: Closure | None = None
    warnings: list[str] = field(default_factory=list)
    failures: dict[Task, DrkitError] = field(default_factory=dict)
    secret_files: tuple[SecretFile, ...] = ()
    members: tuple[Member, ...] = ()
    certificates: tuple[CertificateFacts, ...] = ()
    fingerprint_key: str = ""
    key_faults: tuple[KeyFault, ...] = ()
    drift: tuple[Drift, ...] = ()
    excused: tuple[str, ...] = ()
    digest_count: int = 0
    consistent_at: datetime | None = None
    gone: tuple[str, ...] = ()
    volume: Volume | None = None
    bucket: Bucketed | None = None
    shared: Shared | None = None

    @property
    def sealed(self) -> Path:
        """The directory of what is to be in the seal."""
        return self.directory / "seal"

    def begin(self, kind: PartKind, name: str, path: str) -> RunningPart:
        """A part whose capture begins now; `path` is where its content will stand."""
        return RunningPart(self, kind, name, path if path.startswith("/") else f"/{path}")

    def add_proof(self, proof: Proof) -> None:
        """Note what was proved; raises ToolFailed where the capture lacks what production has."""
        self.closure = proof.closure
        self.gone = proof.gone
        self.warnings += proof.warnings
        proof.raise_if_torn()

    def take_back(self, repository: Repository, snapshot: str) -> None:
        """A part that is worth nothing: forgotten, so that the point has only one of its kind."""
        (part,) = (part for part in self.parts if part.snapshot == snapshot)
        # In place: other threads add theirs meanwhile.
        self.parts.remove(part)
        repository.forget([snapshot])

    def forget(self, repository: Repository) -> None:
        """Take back every snapshot; what cannot be taken back now, the next run sweeps."""
        with contextlib.suppress(DrkitError):
            repository.forget([part.snapshot for part in self.parts if part.snapshot])


@dataclass(frozen=True)
class RunningPart:
    """The capture of one part, since it began: it ends when what was captured is kept."""

    draft: Draft
    kind: PartKind
    name: str
    path: str
    started: float = field(default_factory=time.monotonic)

    def store(self, saved: Saved) -> None:
        """Record the part as a snapshot of its own."""
        self._add(saved.snapshot, saved.bytes, saved.added_bytes)

    def seal(self, file: Path, in_vault: InVault | None = None) -> None:
        """Record the part as a file in the seal; of an inventory, with what the vault has of it."""
        os.link(file, f"{self.draft.sealed}{self.path}")
        size = file.stat().st_size if in_vault is None else in_vault.bytes
        self._add("", size, in_vault.added if in_vault else 0)

    def _add(self, snapshot: str, size: int, added: int) -> None:
        took = round(time.monotonic() - self.started, 3)
        self.draft.parts.append(Part(self.kind, self.name, snapshot, self.path, size, added, took))
