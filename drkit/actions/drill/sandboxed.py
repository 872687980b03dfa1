"""One point in a sandbox: restored, checked, faults planted, torn down, reported."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from drkit import config, tidying
from drkit.actions.drill.findings import Findings
from drkit.actions.drill.options import DrillOptions
from drkit.actions.drill.reporting import Reporting
from drkit.blobs.vault import reading as vault_reading
from drkit.checks import production
from drkit.checks.binding import Binding
from drkit.errors import Failure, failure_of
from drkit.model import (
    Collapse,
    DrillReport,
    PointManifest,
    Statement,
    utc_now,
)
from drkit.points.catalog import Catalog
from drkit.points.seal_files import SealFiles
from drkit.progress import Listener
from drkit.sandbox.build import Builder, Parts, Restored
from drkit.sandbox.harbor import readiness, trial
from drkit.sandbox.harbor.choice import NoImages
from drkit.sandbox.harbor.readiness import Source
from drkit.sandbox.harbor.trial import Trial
from drkit.sandbox.hiding import hide
from drkit.sandbox.proof import Proof
from drkit.state.directory import private_directory
from drkit.stopwatch import Stopwatch
from drkit.tools.age import Identity
from drkit.tools.parallel import side_by_side


@dataclass(frozen=True)
class SandboxedDrill:
    """One drill of one point, read as a bare host would: what it takes, and how it comes to its report."""

    settings: config.Config
    catalog: Catalog
    files: SealFiles
    binding: Binding
    options: DrillOptions
    id: str
    started_at: datetime
    identities: Sequence[Identity]
    listener: Listener
    stopwatch: Stopwatch
    # That production has lost all images, where nobody has confirmed it.
    lost: Collapse | None = None
    # Told of each blob that was read.
    judged: Callable[[str, int, bool], object] | None = None
    # There is no room for the images.
    streamed: bool = False

    def unread(self, reason: str) -> DrillReport:
        """The report of a drill that ended with the seal."""
        found = Findings(trial.Trial(), problems=[f"the seal cannot be read: {reason}"])
        return self._reporting.bare(found, self.stopwatch.stages, utc_now())

    @property
    def manifest(self) -> PointManifest:
        """What binds the point together."""
        return self.files.manifest

    def drill(self, *, newest: bool) -> DrillReport:
        """Restore, check, plant faults, tear down; what stops it on the way becomes the report's outcome."""
        found = Findings(trial.not_reached(self.manifest))
        # PostgreSQL's user passes through it, and nobody else shall guess its name.
        sandbox = self.settings.sandboxes / secrets.token_hex(10)
        try:
            with _torn_down(self.stopwatch) as stack:
                own = private_directory(sandbox.parent, sandbox.name, passable=True)
                self._run(stack.enter_context(own), stack, found)
        except (Failure, OSError) as error:
            found.stop(failure_of(error))
        if sandbox.exists():
            found.problems.append(f"the sandbox {sandbox} is still there")
        return self._reporting.report(found, self.stopwatch.stages, utc_now(), newest=newest)

    @property
    def _reporting(self) -> Reporting:
        return Reporting(
            self.settings,
            self.manifest,
            self.options,
            self.id,
            self.started_at,
            self.identities,
            self.catalog.name,
            self.streamed,
        )

    def _run(self, directory: Path, stack: contextlib.ExitStack, found: Findings) -> None:
        """Everything that is done in the sandbox; raises what ends it early."""
        # Before terabytes are fetched for a drill that shall start Harbor and cannot.
        images = readiness.look(self._harbor, self.manifest, self.options.level, self.options.upgrade_to)
        builder = self._builder(directory, stack)
        proof = self._proof(builder.restored, directory)
        try:
            self._restore_and_check(builder, proof, found)
            with self.stopwatch.stage("controls"):
                found.controls, found.unplanted = proof.plant_faults(found.checks)
            # Last, for it changes the database that all others look at.
            found.tried = self._try_harbor(images, builder.restored, directory)
        finally:
            found.notice(builder.restored)
            found.look_at_disk(directory.parent, shutil.disk_usage(directory).free)

    def _restore_and_check(self, builder: Builder, proof: Proof, found: Findings) -> None:
        """Every part, and the checks of each; a part that does not come back costs no other its checks."""
        with side_by_side() as tasks:
            parts = builder.begin(tasks)
            back = partial(_recovered, parts, builder.restored, self.stopwatch)
            recovered = tasks.begin("recovered", back)
            groups = proof.begin(tasks, parts)
        # What was read as a stream says nothing of how long it takes to have it on a disk.
        found.recovery = None if self.streamed else recovered()
        found.add(parts.failures(*parts), groups)
        found.checks = (*found.checks, *production.checks(self.lost))

    def _proof(self, restored: Restored, directory: Path) -> Proof:
        return Proof(
            self.manifest,
            restored,
            directory,
            self.options.level,
            self.binding,
            self.settings.secrets,
            self.stopwatch,
            self.judged,
        )

    @property
    def _harbor(self) -> config.Drill:
        """Whether Harbor is to be started: who names a release wants it to be."""
        found = self.settings.drill
        return found.model_copy(update={"harbor": "required"}) if self.options.upgrade_to else found

    def _try_harbor(self, images: Source | Statement | None, restored: Restored, directory: Path) -> Trial:
        """Harbor itself on what was restored, or the statement why it was not started."""
        if images is None:
            return Trial()
        if isinstance(images, Statement):
            return Trial(unproved=(images,))
        whole = not restored.lost and restored.blobs is not None and restored.sealed
        if not whole or restored.harbor is None or restored.bundle_damage:
            missing = NoImages("not all that it needs was restored", "see the other checks")
            return Trial(unproved=(readiness.not_started(self._harbor, missing),))
        if restored.blobs and restored.blobs.streamed:
            missing = NoImages(
                "the images were not restored to a disk", "make room in the sandbox's directory"
            )
            return Trial(unproved=(readiness.not_started(self._harbor, missing),))
        found = readiness.materials(restored, self.manifest.secret_paths)
        if isinstance(found, NoImages):
            return Trial(unproved=(readiness.not_started(self._harbor, found),))
        patience = self.settings.drill.harbor_timeout
        return trial.run(images, found, restored, directory, patience, self.stopwatch.stage)

    def _builder(self, directory: Path, stack: contextlib.ExitStack) -> Builder:
        return Builder(
            self.catalog.repository,
            self.files,
            directory,
            stack,
            user=self.settings.drill.user,
            hidden=hide(self.settings, directory),
            image=self.settings.drill.database_image,
            level=self.options.level,
            identities=self.identities,
            open_vault=partial(vault_reading.opened, self.settings, work="drill"),
            cluster=self.settings.cluster.writing_to(directory),
            stopwatch=self.stopwatch,
            listener=self.listener,
            registry_program=self.settings.drill.registry_program,
            streamed=self.streamed,
        )


def _recovered(parts: Parts, restored: Restored, stopwatch: Stopwatch) -> float | None:
    """When everything was back; None where a part did not come, or not whole."""
    return None if parts.failures(*parts) or not restored.is_whole else stopwatch.seconds


@contextlib.contextmanager
def _torn_down(stopwatch: Stopwatch) -> Iterator[contextlib.ExitStack]:
    """Servers end when the block does; how long that takes is a stage like any other."""
    stack = contextlib.ExitStack()
    try:
        try:
            yield stack
        finally:
            with tidying.undisturbed(), stopwatch.stage("tear down"):
                stack.close()
    finally:
        # Where a signal came just before that.
        stack.close()
