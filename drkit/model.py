"""The nouns of drkit: frozen values, no input or output.

Times are aware datetimes in UTC, durations seconds, sizes bytes; a digest is `sha256:<64 hex digits>`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from drkit.errors import RestoreDamaged

MANIFEST_SCHEMA = 1

PartKind = Literal["database", "roles", "blobs", "secrets", "digests"]
Level = Literal["quick", "full"]


def utc_now() -> datetime:
    """This moment; asked for once at the edge and passed down."""
    return datetime.now(UTC)


class PointStatus(StrEnum):
    """Whether a recovery point may be used."""

    SEALED = "sealed"
    INCOMPLETE = "incomplete"


class Outcome(StrEnum):
    """What came of a check or a drill. There is no `skipped`: what could not be tested is an `error`.

    `not_provable` is for a check alone: there was nothing to try it on, which is said and never a pass.
    """

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    NOT_PROVABLE = "not_provable"


@dataclass(frozen=True)
class Part:
    """One captured source: a restic snapshot that belongs to a recovery point.

    `path` is where the content stands inside the snapshot; `bytes` is its full size,
    `added_bytes` what the repository grew by (after compression).
    """

    kind: PartKind
    name: str
    snapshot: str
    path: str
    bytes: int
    added_bytes: int
    seconds: float


@dataclass(frozen=True)
class TableEvidence:
    """What was in one table: its row count and an order-free hash of all rows (a decimal number).

    The hash is None for a table that was counted alone.
    """

    schema: str
    table: str
    rows: int
    hash: str | None

    @property
    def label(self) -> str:
        """The table's full name, for a person."""
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True)
class SequenceEvidence:
    """Where a sequence stood when its database was held; None where it had never been used.

    Sequences stand outside of transactions, so that one may have gone on before it was dumped: it never
    comes back short of this.
    """

    schema: str
    sequence: str
    last_value: int | None
    increment: int
    cycle: bool


@dataclass(frozen=True)
class LargeObjects:
    """Large objects: how many, and an order-free hash of their content (None where it may not be read)."""

    objects: int
    hash: str | None


@dataclass(frozen=True)
class RelationEvidence:
    """How many rows of a table refer to something that is not there, although no foreign key forbids it.

    `torn` counts those that break something, `litter` those that Harbor itself leaves behind; `example` names
    one of the torn.
    """

    name: str
    rows: int
    torn: int
    litter: int
    example: str = ""


@dataclass(frozen=True)
class InventoryLine:
    """What an operator would miss first, told with numbers that a person recognises: `users`, `187 users`."""

    name: str
    said: str


@dataclass(frozen=True)
class Grant:
    """One privilege on the database itself; an empty `grantee` is PUBLIC."""

    grantee: str
    privilege: str
    grantable: bool


@dataclass(frozen=True)
class Setting:
    """One `ALTER DATABASE ... SET`, or one `ALTER ROLE ... IN DATABASE ... SET` where `role` is given."""

    name: str
    value: str
    role: str = ""


@dataclass(frozen=True)
class DatabaseShape:
    """What `CREATE DATABASE` needs to make a database as it was (pg_database, pg_db_role_setting)."""

    database: str
    owner: str
    encoding: str
    locale_provider: str
    collate: str
    ctype: str
    locale: str = ""
    collation_version: str = ""
    connection_limit: int = -1
    comment: str = ""
    default_acl: bool = True
    grants: tuple[Grant, ...] = ()
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True)
class DatabaseEvidence:
    """Facts about one database, gathered inside the very snapshot that was dumped.

    `consistent_at` is that snapshot's instant, `settings` are the server's that a restore may depend on,
    `tablespaces` those that tables or indexes stand in beside the database's own, `dumped_by` the major
    version of pg_dump (in older manifests nothing: the server's).
    """

    name: str
    shape: DatabaseShape
    server_version: int
    extensions: dict[str, str]
    tables: tuple[TableEvidence, ...]
    superuser: str = "postgres"
    harbor_schema: int | None = None
    role_passwords: bool = True
    sequences: tuple[SequenceEvidence, ...] = ()
    large_objects: LargeObjects | None = None
    settings: dict[str, str] = field(default_factory=dict)
    consistent_at: datetime | None = None
    dumped_by: int | None = None
    tablespaces: tuple[str, ...] = ()
    # None: taken by a drkit that did not look, or from a database that is not Harbor's.
    relations: tuple[RelationEvidence, ...] | None = None
    inventory: tuple[InventoryLine, ...] | None = None

    @property
    def major(self) -> int:
        """The server's major version: 15 for 150012."""
        return self.server_version // 10_000

    @property
    def archive_major(self) -> int:
        """The oldest major version whose pg_restore reads the dump, and whose server takes what it says."""
        return max(self.major, self.dumped_by or 0)

    @property
    def rows(self) -> int:
        """Rows in all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def counted_only(self) -> tuple[TableEvidence, ...]:
        """The tables whose content nothing is known of but the number of rows."""
        return tuple(table for table in self.tables if table.hash is None)


@dataclass(frozen=True)
class SizeMismatch:
    """A blob whose file is not as long as the database says; both in bytes."""

    digest: str
    recorded: int
    stored: int


@dataclass(frozen=True)
class LinkProof:
    """The links of a tree by which a registry finds blobs: how many, and how many cannot be one.

    Names of up to twenty of the bad ones, relative to the registry's root directory.
    """

    links: int
    bad: int = 0
    bad_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ManifestProof:
    """What the manifests themselves say that they need, against the list of what must be there.

    `read` counts manifests that no earlier run had read; `unlisted` digests that a manifest needs and no
    table or link knows of; `faults` manifests that cannot be read as one. Up to twenty of each by name.
    """

    manifests: int
    read: int
    faults: int = 0
    unlisted: int = 0
    fault_names: tuple[str, ...] = ()
    unlisted_names: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Every manifest could be read, and all that it needs is on the list."""
        return not self.faults and not self.unlisted


@dataclass(frozen=True)
class Closure:
    """Digests that the databases refer to against the blobs that were captured; counts, and a few names.

    `size_mismatch` counts blobs whose file is not as long as the database says, `unreferenced` blobs that
    no row refers to; each with up to twenty names. `unreferenced_bytes` is what these take up, `seconds` how
    long it took to compare. `links` and `manifests` are None where they were not looked at.
    """

    referenced: int
    present: int
    missing: int
    size_mismatch: int
    unreferenced: int
    missing_names: tuple[str, ...] = ()
    mismatch_names: tuple[str, ...] = ()
    unreferenced_names: tuple[str, ...] = ()
    mismatches: tuple[SizeMismatch, ...] = ()
    unreferenced_bytes: int = 0
    seconds: float = 0.0
    links: LinkProof | None = None
    manifests: ManifestProof | None = None

    @property
    def whole(self) -> bool:
        """Nothing is missing and every size agrees."""
        return self.missing == 0 and self.size_mismatch == 0


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
    schema: int = MANIFEST_SCHEMA
    # A point whose secrets were encrypted anew is sealed again: the highest revision counts, and what it
    # took the place of (snapshots) is to be removed.
    revision: int = 0
    replaces: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """The size of everything that would come back."""
        return sum(part.bytes for part in self.parts)

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
class CheckResult:
    """One assertion on restored data."""

    name: str
    outcome: Outcome
    detail: str
    seconds: float


@dataclass(frozen=True)
class ControlResult:
    """One fault that was planted on purpose; `caught` says whether its check turned red."""

    name: str
    caught: bool
    detail: str
    seconds: float


@dataclass(frozen=True)
class Unplanted:
    """A fault that could not be planted, for there is nothing to plant it in: neither caught nor missed."""

    name: str
    reason: str


@dataclass(frozen=True)
class Stage:
    """A stretch of a drill or restore, on the monotonic clock.

    `started` counts from the beginning of the whole; stages may overlap.
    """

    name: str
    started: float
    seconds: float


@dataclass(frozen=True)
class Objective:
    """A target and what it is really like; `actual_seconds` is None where nothing has ever been measured."""

    name: str
    target_seconds: float
    actual_seconds: float | None
    met: bool


@dataclass(frozen=True)
class Statement:
    """Something that a drill has proved, or could not prove and why."""

    subject: str
    said: str


@dataclass(frozen=True)
class DatabaseSummary:
    """What a report tells of a database that came back."""

    name: str
    server_version: int
    harbor_schema: int | None
    extensions: dict[str, str]
    tables: tuple[TableEvidence, ...]
    sequences: int
    large_objects: int


@dataclass(frozen=True)
class DrillReport:
    """Everything that a drill found out."""

    id: str
    site: str
    point: str
    level: Level
    outcome: Outcome
    started_at: datetime
    finished_at: datetime
    consistent_at: datetime
    checks: tuple[CheckResult, ...]
    controls: tuple[ControlResult, ...]
    stages: tuple[Stage, ...]
    recovery_time_seconds: float | None
    recovery_point_age_seconds: float
    objectives: tuple[Objective, ...]
    versions: dict[str, str]
    host: str
    point_bytes: int = 0
    unplanted: tuple[Unplanted, ...] = ()
    unproved: tuple[Statement, ...] = ()
    databases: tuple[DatabaseSummary, ...] = ()
    problems: tuple[str, ...] = ()
    report: str | None = None

    @property
    def proves(self) -> bool:
        """Whether this drill shows that the whole point comes back."""
        return self.outcome is Outcome.PASSED and self.level == "full"


@dataclass(frozen=True)
class DrillNote:
    """The little of a drill that lists and retention need."""

    id: str
    point: str
    level: Level
    outcome: Outcome
    finished_at: datetime
    recovery_time_seconds: float | None

    @property
    def proves(self) -> bool:
        """Whether that drill showed that the whole point comes back."""
        return self.outcome is Outcome.PASSED and self.level == "full"


@dataclass(frozen=True)
class Point:
    """A recovery point as the repository has it: sealed with its manifest, or incomplete without one.

    `machine` names the state directory that made it, `superseded` what a later seal took the place of.
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

    @property
    def last_drill(self) -> DrillNote | None:
        """The newest drill of this point."""
        return max(self.drills, key=lambda drill: drill.finished_at, default=None)

    @property
    def proven(self) -> bool:
        """Whether a full drill of this point has passed."""
        return any(drill.proves for drill in self.drills)
