"""One point in a sandbox: restored, checked, faults planted, torn down, reported."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import drkit
from drkit import config, tidying
from drkit.actions.drill import verdict
from drkit.actions.drill.options import DrillOptions
from drkit.blobs.vault import reading as vault_reading
from drkit.checks import production
from drkit.checks.binding import Binding
from drkit.errors import Failure, of_system
from drkit.model import (
    CLOCK_SKEW,
    CheckResult,
    Collapse,
    ControlResult,
    DrillReport,
    Objective,
    PointManifest,
    Statement,
    Unplanted,
    Upgrade,
    utc_now,
)
from drkit.points.catalog import Catalog
from drkit.points.seal_files import SealFiles
from drkit.progress import Listener
from drkit.reports import statements
from drkit.sandbox.build import Builder, Parts, Restored
from drkit.sandbox.harbor import readiness, trial
from drkit.sandbox.harbor.choice import NoImages
from drkit.sandbox.harbor.readiness import Source
from drkit.sandbox.harbor.trial import Trial
from drkit.sandbox.hiding import hide
from drkit.sandbox.proof import Proof
from drkit.state import trail
from drkit.state.directory import private_directory
from drkit.stopwatch import Stopwatch
from drkit.tools import age
from drkit.tools.age import Identity
from drkit.tools.parallel import side_by_side

_OTHER_VERSION = Statement("Harbor in its own version", "it was not started: this drill tried a newer one")


_STREAMED = Statement(
    "Restoring the images to a disk",
    "the sandbox's disk has no room for them: every blob was read from the repository once, as a stream, and"
    " served from it; how long a restore to a disk takes was not measured",
)


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
        return self._report((), (), [f"the seal cannot be read: {reason}"], None)

    @property
    def manifest(self) -> PointManifest:
        """What binds the point together."""
        return self.files.manifest

    def drill(self, *, newest: bool) -> DrillReport:
        """Restore, check, plant faults, tear down; what stops it on the way becomes the report's outcome."""
        stopwatch = self.stopwatch
        checks: tuple[CheckResult, ...] = ()
        controls: tuple[ControlResult, ...] = ()
        unplanted: tuple[Unplanted, ...] = ()
        problems: list[str] = []
        recovery: float | None = None
        vault: str | None = None
        restored: Restored | None = None
        tried = trial.not_reached(self.manifest)
        # PostgreSQL's user passes through it, and nobody else shall guess its name.
        sandbox = self.settings.sandboxes / secrets.token_hex(10)
        try:
            with _torn_down(stopwatch) as stack:
                own = private_directory(sandbox.parent, sandbox.name, passable=True)
                directory = stack.enter_context(own)
                # Before terabytes are fetched for a drill that shall start Harbor and cannot.
                images = readiness.look(
                    self._harbor, self.manifest, self.options.level, self.options.upgrade_to
                )
                builder = self._builder(directory, stack)
                restored = builder.restored
                proof = Proof(
                    self.manifest,
                    restored,
                    directory,
                    self.options.level,
                    self.binding,
                    self.settings.secrets,
                    stopwatch,
                    self.judged,
                )
                with side_by_side() as tasks:
                    parts = builder.begin(tasks)
                    recovered = tasks.begin("recovered", partial(_recovered, parts, stopwatch))
                    groups = proof.begin(tasks, parts)
                recovery = recovered()
                checks = tuple(result for results in groups.values() for result in results())
                checks = (*checks, *production.checks(self.lost))
                vault = restored.blobs.vault.where if restored.blobs and restored.blobs.vault else None
                with stopwatch.stage("controls"):
                    controls, unplanted = proof.plant_faults(checks)
                # Last, for it changes the database that all others look at.
                tried = self._try_harbor(images, restored, directory)
        except Failure as error:
            problems.append(error.message)
        except OSError as error:
            known = of_system(error)
            if known is None:
                raise
            problems.append(known.message)
        if sandbox.exists():
            problems.append(f"the sandbox {sandbox} is still there")
        upgrade = self._upgrade(tried)
        if upgrade is None:
            checks, controls = (*checks, *tried.checks), (*controls, *tried.controls)
            unplanted = (*unplanted, *tried.unplanted)
        # What was read as a stream says nothing of how long it takes to have it on a disk.
        report = self._report(checks, controls, problems, None if self.streamed else recovery)
        return replace(
            report,
            objectives=self._objectives(report, newest=newest),
            unplanted=unplanted,
            unproved=(
                *((_STREAMED,) if self.streamed else ()),
                *statements.unproved(self.manifest, checks, unplanted, self.options.level),
                *tried.unproved,
                *((_OTHER_VERSION,) if upgrade else ()),
                statements.held_outside(self._taken()),
            ),
            databases=tuple(map(statements.summary, self.manifest.databases)),
            vault=vault,
            versions=report.versions
            | (
                {"registry in the sandbox": restored.registry_version}
                if restored and restored.registry_version
                else {}
            )
            | ({"Harbor in the sandbox": tried.tag} if tried.tag else {}),
            upgrade=upgrade,
            first_pull_seconds=restored.first_pull_seconds if restored else None,
            streamed=self.streamed,
        )

    @property
    def _harbor(self) -> config.Drill:
        """Whether Harbor is to be started: who names a release wants it to be."""
        found = self.settings.drill
        return found.model_copy(update={"harbor": "required"}) if self.options.upgrade_to else found

    def _upgrade(self, tried: Trial) -> Upgrade | None:
        """What came of a newer release: it says nothing of the point, which came back or did not."""
        if self.options.upgrade_to is None or not tried.tag:
            return None
        outcome = verdict.decide(tried.checks, tried.controls, ())
        return Upgrade(tried.tag, outcome, tried.checks, tried.controls, tried.unplanted)

    def _try_harbor(self, images: Source | Statement | None, restored: Restored, directory: Path) -> Trial:
        """Harbor itself on what was restored, or the statement why it was not started."""
        if images is None:
            return Trial()
        if isinstance(images, Statement):
            return Trial(unproved=(images,))
        if restored.harbor is None or restored.blobs is None or restored.bundle_damage:
            missing = NoImages("not all that it needs was restored", "see the other checks")
            return Trial(unproved=(readiness.not_started(self._harbor, missing),))
        if restored.blobs.streamed:
            missing = NoImages(
                "the images were not restored to a disk", "make room in the sandbox's directory"
            )
            return Trial(unproved=(readiness.not_started(self._harbor, missing),))
        found = readiness.materials(restored, self.manifest.secret_paths)
        if isinstance(found, NoImages):
            return Trial(unproved=(readiness.not_started(self._harbor, found),))
        patience = self.settings.drill.harbor_timeout
        return trial.run(images, found, restored, directory, patience, self.stopwatch.stage)

    def _taken(self) -> Iterator[tuple[str, Path]]:
        """What this drill took from this machine and is not in the point: what it is, and its file."""
        chosen = self.settings.repository(self.options.repository)
        yield "the password of the repository", chosen.password_file
        if chosen.credentials_file:
            yield "the credentials of the repository", chosen.credentials_file
        vault = self.settings.vault
        if self.manifest.bucket and vault and vault.credentials_file:
            yield "the credentials of the vault", vault.credentials_file
        identity = self.options.identity or self.settings.secrets.identity_file
        if self.identities and identity:
            yield "the age identity", identity

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

    def _report(
        self,
        checks: tuple[CheckResult, ...],
        controls: tuple[ControlResult, ...],
        problems: list[str],
        recovery: float | None,
    ) -> DrillReport:
        return DrillReport(
            id=self.id,
            site=self.manifest.site,
            point=self.manifest.id,
            level=self.options.level,
            outcome=verdict.decide(checks, controls, problems),
            started_at=self.started_at,
            finished_at=utc_now(),
            consistent_at=self.manifest.consistent_at,
            checks=checks,
            controls=controls,
            stages=self.stopwatch.stages,
            recovery_time_seconds=recovery,
            recovery_point_age_seconds=round(
                (self.started_at - self.manifest.consistent_at).total_seconds(), 3
            ),
            objectives=(),
            versions={
                "drkit": drkit.__version__,
                **{f"point: {k}": v for k, v in self.manifest.versions.items()},
            },
            host=platform.node(),
            point_bytes=self.manifest.bytes,
            problems=tuple(problems),
            revision=self.manifest.revision,
            opened=age.opened(self.manifest.recipients, self.identities),
            repository=self.catalog.name,
            started_by=", ".join(f"{how} {name}" for how, name in trail.who(os.environ).items()),
        )

    def _objectives(self, report: DrillReport, *, newest: bool) -> tuple[Objective, ...]:
        """RTO of a full drill to a disk; RPO where the point is the newest, for an old one was young once."""
        goals = self.settings.objectives
        found = []
        if goals.rto and report.level == "full" and not self.streamed:
            target, actual = goals.rto.total_seconds(), report.recovery_time_seconds
            found.append(Objective("rto", target, actual, actual is not None and actual <= target))
        chosen = self.settings.repository(self.options.repository)
        rpo = goals.rpo if chosen is self.settings.primary else chosen.rpo
        if rpo and newest:
            target, actual = rpo.total_seconds(), report.recovery_point_age_seconds
            # Of a point from the future nobody knows how old it is.
            found.append(Objective("rpo", target, actual, -CLOCK_SKEW.total_seconds() <= actual <= target))
        return tuple(found)


def _recovered(parts: Parts, stopwatch: Stopwatch) -> float:
    """When everything was back; raises the first part's error."""
    parts.wait(*parts)
    return stopwatch.seconds


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
