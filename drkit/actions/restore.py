"""`drkit restore`: bring a recovery point back for real.

First a plan that can be shown; then every part is restored beside its place, verified there, and only then
put in place by renaming. What is in the way is set aside if the user says so, and never deleted.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from drkit import config
from drkit.actions import leftovers, restore_target
from drkit.actions.restore_blobs import BlobsRestore
from drkit.actions.restore_plan import RestorePlan, RestoreStep, database_entry, database_target
from drkit.catalog import Catalog, open_catalog
from drkit.errors import ConfigError, DrkitError, RestoreDamaged
from drkit.model import Stage
from drkit.progress import Listener, silent
from drkit.sources import clients, database_restore, database_swap, placing, secrets
from drkit.sources import evidence as evidences
from drkit.sources.bundle import Member
from drkit.state import State, private_directory
from drkit.stopwatch import Stopwatch
from drkit.tools import age, postgres
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
    steps: tuple[RestoredStep, ...]
    set_aside: tuple[str, ...]
    warnings: tuple[str, ...]
    stages: tuple[Stage, ...]
    seconds: float
    swept: tuple[str, ...] = ()


def restore(settings: config.Config, plan: RestorePlan, listener: Listener = silent) -> RestoreResult:
    """Do what the plan says; raises the first error, naming what came back nevertheless."""
    state = State(settings.site.state)
    state.prepare()
    catalog = open_catalog(settings)
    with state.site_lock("restore", settings.site.lock_wait):
        # A killed restore leaves a whole dump, and on a new machine the next run is a restore again.
        swept = leftovers.sweep_runs(state)
        with private_directory(state.runs, f"restore-{plan.point}-{os.getpid()}") as directory:
            return _Restore(settings, catalog, plan, directory, listener, swept).run()


@dataclass
class _Restore:
    settings: config.Config
    catalog: Catalog
    plan: RestorePlan
    directory: Path
    listener: Listener
    swept: tuple[str, ...]
    done: list[RestoredStep] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stopwatch = Stopwatch(self.listener)
        self.suffix = f".before-{self.plan.point}"

    def run(self) -> RestoreResult:
        """All steps side by side, once it is certain that the secrets open."""
        members = self._open_secrets()
        work: dict[str, Callable[[], None]] = {}
        for step in self.plan.steps:
            match step.kind:
                case "database":
                    work[step.what] = partial(self._database, step)
                case "blobs":
                    work[step.what] = partial(self._blobs, step)
                case "secrets":
                    work[step.what] = partial(self._secrets, step, members)
        outcomes = together(work)
        result = self._result()
        errors = {name: error for name, error in outcomes.items() if isinstance(error, DrkitError)}
        if errors:
            raise _failed(errors, result)
        return result

    def _result(self) -> RestoreResult:
        return RestoreResult(
            self.plan.point,
            tuple(self.done),
            tuple(self.set_aside),
            tuple(self.warnings),
            self.stopwatch.stages,
            self.stopwatch.seconds,
            self.swept,
        )

    def _open_secrets(self) -> tuple[Member, ...]:
        """Decrypt before anything is written: without the right identity nothing should have begun."""
        if not any(step.kind == "secrets" for step in self.plan.steps):
            return ()
        path = self.plan.wishes.identity or self.settings.secrets.identity_file
        if path is None:
            raise ConfigError(
                "there is no age identity to open the secrets with",
                hint="give --identity FILE, or restore the rest with --only database and --only blobs",
            )
        part = self.plan.manifest.need("secrets", "secrets")
        sealed = secrets.fetch(self.catalog.repository.read(part.snapshot, part.path))
        return secrets.unseal(sealed, age.read_identities(path), self.plan.manifest.recipients)

    def _database(self, step: RestoreStep) -> None:
        began = self.stopwatch.seconds
        evidence = next(e for e in self.plan.manifest.databases if e.name == step.name)
        target = database_target(self.settings, evidence, self.plan.wishes)
        server = database_swap.maintenance(target)
        beside = target.with_database(database_swap.beside(target.database))
        entry = database_entry(self.settings, evidence, self.plan.wishes)
        with postgres.connect(server) as session:
            major = session.server_version // 10_000
        scratch = self.directory / f"dump-{step.name}"
        scratch.mkdir()
        with (
            self.stopwatch.stage(f"restore {step.what}"),
            clients.loader(entry, target, evidence.archive_major, major, scratch) as load,
        ):
            dump, roles = (
                self.plan.manifest.need("database", step.name),
                self.plan.manifest.need("roles", step.name),
            )
            for part in (dump, roles):
                self.catalog.repository.restore(part.snapshot, scratch, listener=self.listener)
            database_swap.drop(server, beside.database)
            try:
                made = database_restore.bring_back(
                    server,
                    beside.database,
                    evidence,
                    scratch / dump.path.lstrip("/"),
                    (scratch / roles.path.lstrip("/")).read_text(encoding="utf-8"),
                    load,
                )
                faults = evidences.differences(beside, evidence)
                if faults:
                    raise RestoreDamaged(
                        f"the restored database is not what was dumped: {faults[0]}", hint="use another point"
                    )
            except BaseException:
                with suppress(DrkitError):
                    database_swap.drop(server, beside.database)
                raise
            aside = database_swap.swap(server, beside.database, target.database, self.plan.point)
            self.set_aside += [f"database {aside}"] if aside else []
            with postgres.connect(target) as session:
                lacking = database_restore.missing_tablespaces(session, evidence)
                # A dump carries no statistics: without them the first queries crawl.
                session.execute("ANALYZE")
        self._did(step, began, evidences.what_agreed(evidence))
        if lacking:
            self.warnings.append(
                f"this server has no tablespace {', '.join(lacking)}: everything is in the database's own"
            )
        if made:
            self.warnings.append(f"roles made, with the passwords that they had: {', '.join(made)}")

    def _blobs(self, step: RestoreStep) -> None:
        began = self.stopwatch.seconds
        where = restore_target.target(self.settings, self.plan.manifest, self.plan.wishes.root)
        back = BlobsRestore(
            self.settings,
            self.catalog.repository,
            self.plan.manifest,
            self.directory,
            self.stopwatch,
            self.listener,
        ).run(where)
        self.set_aside += back.set_aside
        self.warnings += back.warnings
        self._did(step, began, back.verified)

    def _secrets(self, step: RestoreStep, members: tuple[Member, ...]) -> None:
        began, wishes = self.stopwatch.seconds, self.plan.wishes
        with self.stopwatch.stage("restore secrets"):
            placed = placing.place_members(members, wishes.root, self.suffix, replace=wishes.replace)
        self.set_aside += [str(path) for path in placed.set_aside]
        if os.geteuid() != 0:
            self.warnings.append(
                "the owners of the secret files were not restored: only root can give files away"
            )
        self._did(step, began, f"{placed.files} files, hashes as packed")

    def _did(self, step: RestoreStep, began: float, verified: str) -> None:
        took = round(self.stopwatch.seconds - began, 3)
        self.done.append(RestoredStep(step.what, step.target, took, verified))


def _failed(errors: dict[str, DrkitError], result: RestoreResult) -> DrkitError:
    """The first error, which decides the exit code, with all of them told."""
    first = next(iter(errors.values()))
    said = "; ".join(f"{name}: {error.message}" for name, error in errors.items())
    came_back = ", ".join(step.what for step in result.steps) or "nothing"
    return type(first)(f"{said} ({came_back} came back)", hint=first.hint, result=result)
