"""What is known of a site at a moment, against what must be true."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from drkit.model.attempt import Attempt
from drkit.model.closure import Closure
from drkit.model.drill import DrillNote, Objective
from drkit.model.point import CertificateFacts
from drkit.model.problem import Problem
from drkit.model.reread import Reread

SourceKind = Literal["database", "images", "secrets"]


@dataclass(frozen=True)
class RepositoryStatus:
    """A repository, the primary one first; `rpo` is None where the configuration names none for it.

    `points` is how many are sealed there, None where nobody can tell. Of `last_full_drill` and
    `last_quick_drill` nobody has said that they passed. `reread` is how far the reading of what is stored is,
    by the ledger there; empty where there is none.
    """

    name: str
    points: int | None
    newest_point: str | None
    newest_point_at: datetime | None
    rpo: Objective | None
    last_drill: DrillNote | None
    last_passed_drill: DrillNote | None
    last_full_drill: DrillNote | None = None
    last_quick_drill: DrillNote | None = None
    reread: tuple[Reread, ...] = ()

    @property
    def readable(self) -> bool:
        """Whether it could be listed: of one that could not nothing is known, which is not `never`."""
        return self.points is not None


@dataclass(frozen=True)
class SourceStatus:
    """A source as the newest sealed point that has it holds it; `point` is None where none does.

    `bytes` is its full size, `added_bytes` what the repository or vault grew by, `seconds` how long it took.
    """

    kind: SourceKind
    name: str
    point: str | None = None
    captured_at: datetime | None = None
    bytes: int = 0
    added_bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Sizes:
    """How large the newest point is and how fast points grow.

    `growth_per_week` is by how many bytes a point has grown each week, over the time of the sealed points, at
    most the last thirteen weeks; None where they span less than a day. `added_last_week` is what the points
    of the last seven days, as far as they are still there, have added to the repository.
    """

    bytes: int = 0
    growth_per_week: float | None = None
    added_last_week: int = 0


@dataclass(frozen=True)
class NextRun:
    """When a job of the schedule is due next, by which cron expression."""

    job: str
    expression: str
    at: datetime


@dataclass(frozen=True)
class Status:
    """The objectives against what is, and everything that wants attention, at the moment `at`.

    `problems` are the findings' sentences; `green` is false where an objective is missed or a finding red.
    `runs` are the last attempts at each verb, `certificates` those of the newest point, the first to expire
    first, `closure` the newest point's.
    """

    site: str
    at: datetime
    green: bool
    objectives: tuple[Objective, ...]
    newest_point: str | None
    newest_point_at: datetime | None
    last_drill: DrillNote | None
    last_passed_drill: DrillNote | None
    points: int
    problems: tuple[str, ...]
    findings: tuple[Problem, ...]
    runs: tuple[Attempt, ...] = ()
    repositories: tuple[RepositoryStatus, ...] = ()
    sources: tuple[SourceStatus, ...] = ()
    sizes: Sizes = Sizes()
    certificates: tuple[CertificateFacts, ...] = ()
    closure: Closure | None = None
    next_runs: tuple[NextRun, ...] = ()

    @property
    def readable(self) -> bool:
        """Whether the primary repository could be listed."""
        return all(each.readable for each in self.repositories[:1])

    @property
    def red(self) -> tuple[Problem, ...]:
        """The findings that keep the site from being green."""
        return tuple(problem for problem in self.findings if problem.red)

    @property
    def missed(self) -> tuple[str, ...]:
        """The names of the objectives that are not met."""
        return tuple(objective.name for objective in self.objectives if not objective.met)
