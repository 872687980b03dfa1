"""A recovery point: its parts, and the manifest that binds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal

from drkit.errors import RestoreDamaged
from drkit.model.check import Outcome
from drkit.model.closure import Closure
from drkit.model.drift import Drift
from drkit.model.drill import DrillNote
from drkit.model.evidence import DatabaseEvidence
from drkit.model.key_fault import KeyFault
from drkit.model.loss import Loss
from drkit.model.trail import TrailHead

MANIFEST_SCHEMA = 1
# How images stand in their directory: distribution's tree, or an OCI image layout for each repository.
StorageKind = Literal["distribution", "oci"]
PartKind = Literal[
    "database",
    "roles",
    "blobs",
    "inventory",
    "links",
    "digests",
    "dangling",
    "tags",
    "names",
    "secrets",
    "configuration",
]
# What is in the seal, and nowhere else. So is an inventory, but the vault has what that lists.
SEAL_ONLY: frozenset[PartKind] = frozenset(
    ("roles", "digests", "dangling", "tags", "names", "secrets", "configuration")
)


class PointStatus(StrEnum):
    """Whether a recovery point may be used; of one that is unreadable nobody knows at this moment."""

    SEALED = "sealed"
    INCOMPLETE = "incomplete"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Part:
    """One captured source of a recovery point: a restic snapshot of its own, or a file in the seal.

    `snapshot` is empty of what is in the seal, as long as nobody can know that one's id: in the manifest as
    it is stored (see `PointManifest.in_seal`). `path` is where the content stands inside the snapshot;
    `bytes` is its full size, `added_bytes` what the repository grew by (after compression; 0 of what is in
    the seal). Of an inventory both count the blobs that it lists, which are in the vault. `tree` is the hash
    of everything in the snapshot, by which a copy of it in another repository is known; empty of what is in
    the seal.
    """

    kind: PartKind
    name: str
    snapshot: str
    path: str
    bytes: int
    added_bytes: int
    seconds: float
    tree: str = ""


def in_seal(parts: Iterable[Part], snapshot: str) -> tuple[Part, ...]:
    """The parts, those that are in the seal with its snapshot for theirs."""
    return tuple(part if part.snapshot else replace(part, snapshot=snapshot) for part in parts)


@dataclass(frozen=True)
class SecretFile:
    """One file of the secrets bundle: where it stood, how long it is, and what it is (see classify.py).

    `fingerprint` is a keyed hash, which tells nobody anything but whether the file is still the same;
    `rights` are mode and owner, as in `0600 10000:10000`, empty in points of older versions.
    """

    path: str
    bytes: int
    what: str = ""
    fingerprint: str = ""
    rights: str = ""


@dataclass(frozen=True)
class ConfigurationPlace:
    """Where the configuration stood that a point was taken with, and whose it was."""

    path: str
    mode: int
    uid: int
    gid: int


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
class PointManifest:
    """What binds the snapshots of one run into a recovery point; stored in the seal, last of all."""

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
    storage: StorageKind = "distribution"
    schema: int = MANIFEST_SCHEMA
    # A point whose secrets were encrypted anew is sealed again: the seal of the highest revision counts, and
    # the others are to be removed.
    revision: int = 0
    # What is wrong with keys and their certificates in the bundle.
    key_faults: tuple[KeyFault, ...] = ()
    # What `paths` in [secrets] was.
    secret_paths: tuple[str, ...] = ()
    # What production has lost most of since an earlier point.
    losses: tuple[Loss, ...] = ()
    # What harbor.yml named and was not backed up, and what need not be in the bundle all the same: confirmed
    # by `dropped`, or there under the name that it resolves to.
    drift: tuple[Drift, ...] = ()
    excused: tuple[str, ...] = ()
    # Of the part `configuration`.
    configuration: ConfigurationPlace | None = None
    # The public half of the key that reports of drills are signed with, as PEM.
    signing_key: str = ""
    # The end of the audit trail of the machine that took it; the seal has its last lines.
    trail: TrailHead | None = None

    @property
    def bytes(self) -> int:
        """The size of everything that would come back."""
        return sum(part.bytes for part in self.parts)

    @property
    def images(self) -> Part | None:
        """The part that says what images there are: their blobs, or the inventory of what a vault keeps."""
        return self.part("blobs") or self.part("inventory")

    @property
    def image_list(self) -> Part | None:
        """The list of images by tag. One of Harbor's has it: raises RestoreDamaged where it does not."""
        if any(each.inventory is not None for each in self.databases):
            return self.need("tags", "tags")
        return self.part("tags")

    def in_seal(self, snapshot: str) -> PointManifest:
        """The same, read from that snapshot: the parts that are in the seal are there."""
        if all(part.snapshot for part in self.parts):
            return self
        return replace(self, parts=in_seal(self.parts, snapshot))

    def found_as(self, names: Mapping[str, str]) -> PointManifest:
        """The same, of a repository where some of the parts' snapshots have other ids: the values."""
        if not names:
            return self
        parts = (replace(part, snapshot=names.get(part.snapshot, part.snapshot)) for part in self.parts)
        return replace(self, parts=tuple(parts))

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

    `machine` names the state directory that made it, `superseded` the seals that a later one replaced.
    `broken_seal` says why a point that bears a seal, or may bear one, cannot be used all the same: it was
    whole once, so nothing of it is ever swept away. `copied_as` has the ids of the parts' snapshots that the
    seal names and that are others here, with those: the point was copied from another repository.
    """

    id: str
    status: PointStatus
    taken_at: datetime
    snapshots: tuple[str, ...]
    manifest: PointManifest | None = None
    manifest_snapshot: str | None = None
    drills: tuple[DrillNote, ...] = ()
    machine: str | None = None
    superseded: tuple[str, ...] = ()
    broken_seal: str = ""
    copied_as: tuple[tuple[str, str], ...] = ()

    @property
    def doubt(self) -> str:
        """Why it cannot be used although it is sealed, or may be: a sentence, or nothing."""
        if not self.broken_seal:
            return ""
        if self.status is PointStatus.UNREADABLE:
            return f"point {self.id} cannot be read: {self.broken_seal}"
        return f"point {self.id} was sealed, but {self.broken_seal}"

    @property
    def last_drill(self) -> DrillNote | None:
        """The newest drill of this point."""
        return max(self.drills, key=lambda drill: drill.finished_at, default=None)

    @property
    def undisputed(self) -> bool:
        """Whether it is proven, and no later full drill has come to another end than a pass."""
        full = [drill for drill in self.drills if drill.level == "full"]
        last = max(full, key=lambda drill: drill.finished_at, default=None)
        return self.proven and last is not None and last.proves

    @property
    def proven(self) -> bool:
        """Whether a full drill of this point as it is now has passed, and none has failed since.

        What was drilled before its secrets were encrypted anew says nothing of the bundle that it has now.
        """
        revision = self.manifest.revision if self.manifest else 0
        return _proven(drill for drill in self.drills if drill.revision == revision)

    @property
    def keys_unproven(self) -> bool:
        """Whether what proved this point was a drill with a bundle of secrets that it has no more."""
        return self.was_proven and not self.proven

    @property
    def was_proven(self) -> bool:
        """Whether a full drill of this point has passed, with whichever bundle, and none has failed since."""
        return _proven(self.drills)


def _proven(drills: Iterable[DrillNote]) -> bool:
    verdicts = [drill for drill in drills if drill.proves or drill.outcome is Outcome.FAILED]
    last = max(verdicts, key=lambda drill: drill.finished_at, default=None)
    return last is not None and last.proves
