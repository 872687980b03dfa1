"""`drkit restore`: bring a recovery point back for real.

First a plan that can be shown; then every part is restored beside its place, verified there, and only then
put in place by renaming. What is in the way is set aside if the user says so, and never deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from drkit import config
from drkit.actions import leftovers
from drkit.actions.restore import secrets
from drkit.actions.restore import target as restore_target
from drkit.actions.restore.blobs import BlobsRestore
from drkit.actions.restore.database import DatabaseRestore
from drkit.actions.restore.plan import RestorePlan, RestoreStep
from drkit.errors import DrkitError, RestoreDamaged
from drkit.model import Stage
from drkit.points.catalog import Catalog, open_catalog
from drkit.points.seal_files import SealFiles
from drkit.progress import Listener, silent
from drkit.reports.next_steps import next_steps
from drkit.secrets import install as placing
from drkit.secrets.bundle import Member
from drkit.state.directory import State, private_directory
from drkit.stopwatch import Stopwatch
from drkit.tools.parallel import together


@dataclass(frozen=True)
class RestoredStep:
    """One thing that came back, how long it took, and how it was verified."""

    what: str
    target: str
    seconds: float
    verified: str


@dataclass(frozen=True)
class RestoreResult:
    """What a restore did."""

    point: str
    # What was to come back and did not, and the parts of the point that nobody asked for.
    missing: tuple[str, ...]
    left_out: tuple[str, ...]
    steps: tuple[RestoredStep, ...]
    set_aside: tuple[str, ...]
    warnings: tuple[str, ...]
    stages: tuple[Stage, ...]
    seconds: float
    swept: tuple[str, ...] = ()
    # Which images did not come back as they should, though everything else did.
    lacking: tuple[str, ...] = ()
    next_steps: tuple[str, ...] = ()


def restore(settings: config.Config, plan: RestorePlan, listener: Listener = silent) -> RestoreResult:
    """Do what the plan says; raises the first error, naming what came back nevertheless."""
    state = State(settings.site.state)
    state.prepare()
    catalog = open_catalog(settings)
    with state.site_lock("restore", settings.site.lock_wait):
        # A killed restore leaves a whole dump, and on a new machine the next run is a restore again.
        swept = leftovers.sweep_runs(state)
        with private_directory(state.runs, f"restore-{plan.point}-{os.getpid()}") as directory:
            images = any(step.kind == "blobs" for step in plan.steps)
            files = catalog.fetch_seal(plan.listed, _lists(directory) if images else None)
            return _Restore(settings, catalog, files, plan, directory, listener, swept).run()


def _lists(directory: Path) -> Path:
    lists = directory / "lists"
    lists.mkdir(mode=0o700)
    return lists


@dataclass
class _Restore:
    settings: config.Config
    catalog: Catalog
    files: SealFiles
    plan: RestorePlan
    directory: Path
    listener: Listener
    swept: tuple[str, ...]
    done: dict[RestoreStep, RestoredStep] = field(default_factory=dict)
    set_aside: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    open_roles: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stopwatch = Stopwatch(self.listener)

    def run(self) -> RestoreResult:
        """All steps side by side, once it is certain that the secrets open."""
        members = self._open_secrets()
        work: dict[RestoreStep, Callable[[], None]] = {}
        for step in self.plan.steps:
            match step.kind:
                case "database":
                    work[step] = partial(self._database, step)
                case "blobs":
                    work[step] = partial(self._blobs, step)
                case "secrets":
                    work[step] = partial(self._secrets, step, members)
        outcomes = together(work)
        result = self._result()
        errors = {step: error for step, error in outcomes.items() if isinstance(error, DrkitError)}
        if errors:
            raise _failed(errors, result)
        if result.lacking:
            raise RestoreDamaged(
                f"everything else is back, but not all of the images: {'; '.join(result.lacking)}",
                hint="look for them in another point, or push those images again",
                result=result,
            )
        return result

    def _result(self) -> RestoreResult:
        return RestoreResult(
            self.plan.point,
            tuple(step.what for step in self.plan.steps if step not in self.done),
            self.plan.left_out,
            tuple(self.done.values()),
            tuple(self.set_aside),
            tuple(self.warnings),
            self.stopwatch.stages,
            self.stopwatch.seconds,
            self.swept,
            tuple(self.lacking),
            next_steps(self.plan.manifest, self.plan.options.root, self._open_roles()),
        )

    def _open_roles(self) -> str:
        return f"the database roles {', '.join(self.open_roles)}" if self.open_roles else ""

    def _open_secrets(self) -> tuple[Member, ...]:
        """Decrypt before anything is written: without the right identity nothing should have begun."""
        if not any(step.kind == "secrets" for step in self.plan.steps):
            return ()
        path = secrets.identity_file(self.settings, self.plan.options.identity)
        return secrets.open_members(self.files, path)

    def _database(self, step: RestoreStep) -> None:
        began = self.stopwatch.seconds
        back = DatabaseRestore(
            self.settings,
            self.catalog.repository,
            self.files,
            self.plan,
            self.directory,
            self.stopwatch,
            self.listener,
        ).run(step)
        self.set_aside += back.set_aside
        self.warnings += back.warnings
        self.open_roles += back.open_roles
        self._did(step, began, back.verified)

    def _blobs(self, step: RestoreStep) -> None:
        began = self.stopwatch.seconds
        where = restore_target.target(self.settings, self.plan.manifest, self.plan.options.root)
        back = BlobsRestore(
            self.settings,
            self.catalog.repository,
            self.files,
            self.directory,
            self.stopwatch,
            self.listener,
        ).run(where)
        self.set_aside += back.set_aside
        self.warnings += back.warnings
        self.lacking += back.lacking
        self._did(step, began, back.verified)

    def _secrets(self, step: RestoreStep, members: tuple[Member, ...]) -> None:
        began, options = self.stopwatch.seconds, self.plan.options
        with self.stopwatch.stage("restore secrets"):
            placed = placing.place_members(members, options.root, self.plan.point, replace=options.replace)
        self.set_aside += [str(path) for path in placed.set_aside]
        if os.geteuid() != 0:
            self.warnings.append(
                "the owners of the secret files were not restored: only root can give files away"
            )
        kept = f", {placed.kept} of them there already" if placed.kept else ""
        self._did(step, began, f"{placed.files} files, hashes as packed{kept}")

    def _did(self, step: RestoreStep, began: float, verified: str) -> None:
        took = round(self.stopwatch.seconds - began, 3)
        self.done[step] = RestoredStep(step.what, step.target, took, verified)


def _failed(errors: dict[RestoreStep, DrkitError], result: RestoreResult) -> DrkitError:
    """The first error, which decides the exit code, with all of them told."""
    first = next(iter(errors.values()))
    said = "; ".join(f"{step.what}: {error.message}" for step, error in errors.items())
    came_back = ", ".join(step.what for step in result.steps) or "nothing"
    return type(first)(f"{said} ({came_back} came back)", hint=first.hint, result=result)
