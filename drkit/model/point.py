"""A recovery point: its parts, and the manifest that binds them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from drkit.errors import RestoreDamaged
from drkit.model.closure import Closure
from drkit.model.drill import DrillNote, Outcome
from drkit.model.evidence import DatabaseEvidence

MANIFEST_SCHEMA = 1
PartKind = Literal["database", "roles", "blobs", "inventory", "links", "digests", "secrets"]


class PointStatus(StrEnum):
    """Whether a recovery point may be used."""

    SEALED = "sealed"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True)
class Part:
    """One captured source: a restic snapshot that belongs to a recovery point.

    `path` is where the content stands inside the snapshot; `bytes` is its full size,
    `added_bytes` what the repository grew by (after compression). Of an inventory both count the blobs that
    it lists, which are in the vault; what is in the snapshot itself are then `snapshot_bytes`.
    """

    kind: PartKind
    name: str
    snapshot: str
    path: str
    bytes: int
    added_bytes: int
    seconds: float
    snapshot_bytes: int | None = None


@dataclass(frozen=True)
class SecretFile:
    """One file of the secrets bundle: where it stood, how long it is, and what it is (see kinds.py).

    `fingerprint` is a keyed hash, which tells nobody anything but whether the file is still the same.
    """

    path: str
    bytes: int
    what: str = ""
    fingerprint: str = ""


@dataclass(frozen=True)
class CertificateFacts:
    """What anybody who is shown a certificate sees of it; `path` is the file of the bundle that holds it."""

    path: str
    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    authority: bool


@dataclass(frozen=True)
class Volume:
    """How the blobs were read: `kind` is live, or the kind of volume snapshot; and why that one.

    `seconds` passed from the wish for a frozen view until there was one.
    """

    kind: str
    why: str
    seconds: float = 0.0


@dataclass(frozen=True)
class BucketPlace:
    """A place in a bucket: everything below `prefix`, of the service at `endpoint` (None: Amazon's)."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None

    @property
    def where(self) -> str:
        """For a person: `s3://bucket/prefix at https://...`."""
        address = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        return f"{address} at {self.endpoint}" if self.endpoint else address


@dataclass(frozen=True)
class Bucketed:
    """Blobs that were in a bucket: where, and where they are kept, as the part `inventory` lists them.

    `copied` blobs of `copied_bytes` were new to the vault; `bad` is how many were left where they are since
    their bytes do not hash to their names, with up to twenty names. `locked_until` is the earliest end of a
    lock that holds on all blobs, None where there is none; `versioned` says whether the vault keeps versions.
    """

    source: BucketPlace
    vault: BucketPlace
    copied: int = 0
    copied_bytes: int = 0
    bad: int = 0
    bad_names: tuple[str, ...] = ()
    versioned: bool = False
    locked_until: datetime | None = None


@dataclass(frozen=True)
class Manifest:
    """What binds the snapshots of one run into a recovery point; stored last, it seals the point."""

    id: str
    site: str
    started_at: datetime
    consistent_at: datetime
    finished_at: datetime
    parts: tuple[Part, ...]
    databases: tuple[DatabaseEvidence, ...]
    closure: Closure | None
    blobs_root: str | None
    secret_files: tuple[SecretFile, ...]
    recipients: tuple[str, ...]
    digest_count: int
    versions: dict[str, str]
    host: str
    warnings: tuple[str, ...] = ()
    certificates: tuple[CertificateFacts, ...] = ()
    # Names the key of the files' fingerprints: only those that were made with one key can be compared.
    fingerprint_key: str = ""
    volume: Volume | None = None
    # Set where the blobs were in a bucket: their bytes are in a vault, not in the restic repository.
    bucket: Bucketed | None = None
    schema: int = MANIFEST_SCHEMA
    # A point whose secrets were encrypted anew is sealed again: the highest revision counts, and what it
    # took the place of (snapshots) is to be removed.
    revision: int = 0
    replaces: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """The size of everything that would come back."""
        return sum(part.bytes for part in self.parts)

    @property
    def images(self) -> Part | None:
        """The part that says what images there are: their blobs, or the inventory of what a vault keeps."""
        return self.part("blobs") or self.part("inventory")

    def part(self, kind: PartKind, name: str | None = None) -> Part | None:
        """The part of that kind (and name), if this point has one."""
        return next((p for p in self.parts if p.kind == kind and name in (None, p.name)), None)

    def need(self, kind: PartKind, name: str) -> Part:
        """The part of that kind and name; raises RestoreDamaged where this point has none."""
        part = self.part(kind, name)
        if part is None:
            raise RestoreDamaged(
                f"recovery point {self.id} has no {kind} of {name}", hint="use another point"
            )
        return part


@dataclass(frozen=True)
class Point:
    """A recovery point as the repository has it: sealed with its manifest, or incomplete without one.

    `machine` names the state directory that made it, `superseded` what a later seal took the place of.
    `broken_seal` says why a point that bears a seal counts as incomplete all the same: it was whole once, so
    nothing of it is ever swept away.
    """

    id: str
    status: PointStatus
    taken_at: datetime
    snapshots: tuple[str, ...]
    manifest: Manifest | None = None
    manifest_snapshot: str | None = None
    drills: tuple[DrillNote, ...] = ()
    machine: str | None = None
    superseded: tuple[str, ...] = ()
    broken_seal: str = ""

    @property
    def last_drill(self) -> DrillNote | None:
        """The newest drill of this point."""
        return max(self.drills, key=lambda drill: drill.finished_at, default=None)

    @property
    def proven(self) -> bool:
        """Whether a full drill of this point has passed, and none has failed since."""
        verdicts = [drill for drill in self.drills if drill.proves or drill.outcome is Outcome.FAILED]
        last = max(verdicts, key=lambda drill: drill.finished_at, default=None)
        return last is not None and last.proves
