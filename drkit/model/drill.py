"""A drill: what it asserts, what it planted, how long everything took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from drkit.model.check import CheckResult, ControlResult, Outcome, Unplanted
from drkit.model.evidence import TableEvidence
from drkit.model.reread import Reread

Level = Literal["quick", "full"]
ObjectiveName = Literal["rpo", "rto", "drill", "reread"]


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

    name: ObjectiveName
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
class Upgrade:
    """What came of a newer Harbor on what was restored: a trial of that release, not of the point.

    `tag` is that of its images; the outcome is told by its own checks and controls alone.
    """

    tag: str
    outcome: Outcome
    checks: tuple[CheckResult, ...]
    controls: tuple[ControlResult, ...] = ()
    unplanted: tuple[Unplanted, ...] = ()

    @property
    def said(self) -> str:
        """What keeps it from being good, in a few words; nothing where it is."""
        bad = [c for c in self.checks if c.outcome in (Outcome.FAILED, Outcome.ERROR)]
        missed = [f"{c.name} was not caught" for c in self.controls if not c.caught]
        return "; ".join([*(f"{check.name}: {check.detail}" for check in bad), *missed])


@dataclass(frozen=True)
class DrillReport:
    """Everything that a drill found out; `vault` says where image blobs came from, if from a vault."""

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
    vault: str | None = None
    # Which seal of the point was drilled: what is sealed again has another bundle of secrets.
    revision: int = 0
    # The recipients of its secrets (keys without names) whose identities were at hand.
    opened: tuple[str, ...] = ()
    # What the configuration calls the repository, and the user who started the drill.
    repository: str = ""
    started_by: str = ""
    # With `--upgrade-to`.
    upgrade: Upgrade | None = None
    # How long ago what is stored was read, by the ledger, this drill included.
    reread: tuple[Reread, ...] = ()
    # When the first image had been pulled, where that was while others were still being restored.
    first_pull_seconds: float | None = None
    # There was no room for the images: they were read as a stream, and served from the repository or vault.
    streamed: bool = False


@dataclass(frozen=True)
class DrillNote:
    """The little of a drill that lists and retention need: those fields of its report, by the same names."""

    id: str
    point: str
    level: Level
    outcome: Outcome
    finished_at: datetime
    recovery_time_seconds: float | None
    revision: int = 0
    opened: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()

    @property
    def proves(self) -> bool:
        """Whether that drill showed that the whole point comes back."""
        return self.outcome is Outcome.PASSED and self.level == "full"
