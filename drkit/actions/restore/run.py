"""`drkit restore`: bring a recovery point back for real.

First a plan that can be shown; then every part is restored beside its place, verified there, and only then
put in place by renaming. What is in the way is set aside if the user says so, and never deleted.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from drkit import config
from drkit.actions import leftovers
from drkit.actions.restore import clock, secrets
from drkit.actions.restore import target as restore_target
from drkit.actions.restore.blobs import BlobsRestore
from drkit.actions.restore.database import DatabaseRestore
from drkit.actions.restore.plan import RestorePlan, RestoreStep, database_target
from drkit.actions.restore.service import Service
from drkit.actions.restore.way_back import NotRestored, now_at, of_path
from drkit.errors import DrkitError, Interrupted, RestoreDamaged
from drkit.model import Shared, Stage
from drkit.points.catalog import Catalog, open_catalog
from drkit.points.seal_files import SealFiles
from drkit.progress import Listener, silent
from drkit.reports.next_steps import next_steps
from drkit.secrets import install as placing
from drkit.secrets.bundle import Member
from drkit.state.directory import State, private_directory
from drkit.stopwatch import Stopwatch
from drkit.tools.parallel import together
from drkit.tools.postgres.targets import Target

log = logging.getLogger(__name__)


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
    # What has become of the service; empty where nobody was told to stop it.
    service: str = ""
    # Of a restore that did not end well: why a part is not back, and what is in its place.
    not_restored: tuple[NotRestored, ...] = ()
    # The commands that put back what was set aside.
    way_back: tuple[str, ...] = ()
    # Who brought blobs from the vault, if not this machine.
    cluster: Shared | None = None


def restore(settings: config.Config, plan: RestorePlan, listener: Listener = silent) -> RestoreResult:
    """Do what the plan says; raises the first error, naming what came back nevertheless."""
    state = State(settings.site.state)
    state.prepare()
    settings = settings.at(plan.options.repository).over(plan.options.cluster)
    catalog = open_catalog(settings, plan.options.repository)
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
    way_back: list[str] = field(default_factory=list)
    shared: Shared | None = None
    # Two files in one directory are written under one name first.
    placing: threading.Lock = field(default_factory=threading.Lock)
    # OCI layouts take the place of a whole directory: files that belong into it must not go aside with it.
    images_placed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.stopwatch = Stopwatch(self.listener)
        self.service = Service(self.plan.stop, self.plan.start, self.stopwatch)
        layouts = self.plan.manifest.storage == "oci"
        if not (layouts and any(step.kind == "blobs" for step in self.plan.steps)):
            self.images_placed.set()

    def run(self) -> RestoreResult:
        """All steps side by side, once it is certain that the secrets open and the service has stopped."""
        members = self._open_secrets()
        self.service.stop(self._live_databases())
        work: dict[RestoreStep, Callable[[], None]] = {}
        for step in self.plan.steps:
            match step.kind:
                case "database":
                    work[step] = partial(self._database, step)
                case "blobs":
                    work[step] = partial(self._images, step)
                case "secrets":
                    work[step] = partial(self._secrets, step, members)
                case "configuration":
                    work[step] = partial(self._configuration, step)
        expected = self.plan.expected.seconds if self.plan.expected else None
        try:
            with clock.running(self.listener, expected):
                outcomes = together(work)
        except Interrupted as error:
            raise Interrupted(error.message, hint=self._left_stopped()) from None
        except BaseException:
            if said := self._left_stopped():
                log.warning("%s", said)
            raise
        errors = {step: error for step, error in outcomes.items() if isinstance(error, DrkitError)}
        if errors:
            raise self._failed(errors)
        if self.lacking:
            hint = "look for them in another point, or push those images again"
            raise RestoreDamaged(
                f"everything else is back, but not all of the images: {'; '.join(self.lacking)}",
                hint="; ".join(filter(None, (hint, self._left_stopped()))),
                result=self._result(),
            )
        try:
            self.service.start()
        except DrkitError as error:
            raise type(error)(error.message, hint=error.hint, result=self._result()) from None
        return self._result()

    def _live_databases(self) -> list[Target]:
        """Those that are somebody's now: nobody may be in them once the service has stopped."""
        wanted = {step.name for step in self.plan.steps if step.kind == "database" and not step.in_place}
        options = self.plan.options
        if options.database_dsn is not None:
            return []
        found = (each for each in self.plan.manifest.databases if each.name in wanted)
        return [database_target(self.settings, evidence, options) for evidence in found]

    def _left_stopped(self) -> str:
        """What to know of a service that was stopped, after a restore that did not end well."""
        if not self.service.state:
            return ""
        back = f": {self.service.back}" if self.service.back else ""
        return f"the service was stopped, and stays so{back}"

    def _failed(self, errors: dict[RestoreStep, DrkitError]) -> DrkitError:
        """The first error, which decides the exit code, with all of them told."""
        first = next(iter(errors.values()))
        said = "; ".join(f"{step.what}: {error.message}" for step, error in errors.items())
        came_back = ", ".join(step.what for step in self.done) or "nothing"
        now = partial(now_at, settings=self.settings, manifest=self.plan.manifest, options=self.plan.options)
        left = tuple(NotRestored(s.what, s.target, error.message, now(s)) for s, error in errors.items())
        return type(first)(
            f"{said} ({came_back} came back)",
            hint="; ".join(filter(None, (first.hint, self._left_stopped()))),
            result=replace(self._result(), not_restored=left),
        )

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
            self.service.state,
            way_back=tuple(self.way_back),
            cluster=self.shared,
        )

    def _open_roles(self) -> str:
        return f"the database roles {', '.join(self.open_roles)}" if self.open_roles else ""

    def _open_secrets(self) -> tuple[Member, ...]:
        """Decrypt before anything is written: without the right identity nothing should have begun."""
        if not any(step.kind == "secrets" for step in self.plan.steps):
            return ()
        path = secrets.identity_file(self.settings, self.plan.options.identity)
        return secrets.open_members(self.files, path, self.plan.options.hostname)

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
        self.way_back += back.way_back
        self.warnings += back.warnings
        self.open_roles += back.open_roles
        self._did(step, began, back.verified)

    def _images(self, step: RestoreStep) -> None:
        try:
            self._blobs(step)
        finally:
            self.images_placed.set()

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
        self.way_back += [of_path(Path(path), self.plan.point) for path in back.set_aside]
        self.warnings += back.warnings
        self.lacking += back.lacking
        self.shared = back.shared
        self._did(step, began, back.verified)

    def _secrets(self, step: RestoreStep, members: tuple[Member, ...]) -> None:
        self.images_placed.wait()
        began, options = self.stopwatch.seconds, self.plan.options
        if options.hostname and (said := secrets.of_hostname(members)):
            self.warnings.append(said)
        with self.stopwatch.stage("restore secrets"), self.placing:
            placed = placing.place_members(members, options.root, self.plan.point, replace=options.replace)
        self.set_aside += [str(path) for path in placed.set_aside]
        self.way_back += [of_path(path, self.plan.point) for path in placed.set_aside]
        if os.geteuid() != 0:
            self.warnings.append(
                "the owners of the secret files were not restored: only root can give files away"
            )
        kept = f", {placed.kept} of them there already" if placed.kept else ""
        self._did(step, began, f"{placed.files} files, hashes as packed{kept}")

    def _configuration(self, step: RestoreStep) -> None:
        self.images_placed.wait()
        began, options = self.stopwatch.seconds, self.plan.options
        member = secrets.configuration(self.files)
        assert member is not None
        with self.placing:
            placed = placing.place_members((member,), options.root, self.plan.point, replace=options.replace)
        self.set_aside += [str(path) for path in placed.set_aside]
        self.way_back += [of_path(path, self.plan.point) for path in placed.set_aside]
        self.warnings += [f"drkit's configuration: {line}" for line in step.remarks]
        self._did(step, began, "as it was when the point was taken")

    def _did(self, step: RestoreStep, began: float, verified: str) -> None:
        took = round(self.stopwatch.seconds - began, 3)
        self.done[step] = RestoredStep(step.what, step.target, took, verified)
