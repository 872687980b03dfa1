"""`drkit drill`: restore a point into a sandbox and prove it, with a stopwatch running."""

from __future__ import annotations

import contextlib
import platform
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import drkit
from drkit import config
from drkit.actions import leftovers, verdict
from drkit.catalog import SKEW, Catalog, open_catalog, pick
from drkit.checks.binding import Binding
from drkit.errors import DrillError, DrkitError, Interrupted, UsageError
from drkit.model import (
    CheckResult,
    ControlResult,
    DrillReport,
    Level,
    Manifest,
    Objective,
    Point,
    Unplanted,
    utc_now,
)
from drkit.progress import Listener, silent
from drkit.reports import page, statements
from drkit.sandbox.build import Builder, Restored
from drkit.sandbox.proof import Proof
from drkit.sources.vault import reading as vault_reading
from drkit.state import State, new_id, private_directory
from drkit.stopwatch import Stopwatch
from drkit.tools import age, restic
from drkit.tools.age import Identity


@dataclass(frozen=True)
class Wishes:
    """What the command line says."""

    point: str | None = None
    random: bool = False
    oldest: bool = False
    level: Level = "full"
    report: Path | None = None
    identity: Path | None = None


def drill(settings: config.Config, wishes: Wishes, listener: Listener = silent) -> DrillReport:
    """Drill one point.

    Raises DrillFailed or DrillError with the DrillReport where it did not pass, and DrillError without one
    where it could not even begin; UsageError, NoSuchPoint and the repository's errors.
    """
    _refuse_several(wishes)
    restic.require(restic.version())
    state = State(settings.site.state)
    state.prepare()
    swept = leftovers.sweep_sandboxes(settings.sandboxes)
    # On the day, finding the point takes its time as well.
    started, stopwatch = utc_now(), Stopwatch(listener)
    with stopwatch.stage("find the point"):
        catalog = open_catalog(settings)
        points = catalog.points(locked=True)
        point = choose(points, wishes)
        manifest = catalog.manifest_of(point)
    identities = _identities(settings, wishes, manifest)
    if manifest.bucket is not None:
        # Before a sandbox is built for a drill that nobody has configured.
        vault_reading.vault_for(settings, manifest.bucket)
    other = next((p.manifest for p in points if p.manifest and p.id != point.id), None)
    binding = Binding(manifest, lambda: catalog.snapshots_of(point.id), other)
    name = new_id(started)
    run = _Run(settings, catalog, manifest, binding, wishes, name, started, identities, listener, stopwatch)
    report = run.drill(newest=point.id == next(p.id for p in points if p.manifest))
    report = _keep(report, state, catalog, wishes, swept)
    verdict.judge(report)
    return report


def _refuse_several(wishes: Wishes) -> None:
    """One way to choose the point at a time: with another, somebody means something else."""
    ways = [*(["a POINT"] if wishes.point is not None else [])]
    ways += ["--random"] if wishes.random else []
    ways += ["--oldest"] if wishes.oldest else []
    if len(ways) > 1:
        raise UsageError(f"{' and '.join(ways)} choose different points", hint="leave all but one out")


def choose(points: Sequence[Point], wishes: Wishes) -> Point:
    """The point to drill; raises NoSuchPoint."""
    sealed = [point for point in points if point.manifest]
    if sealed and wishes.random:
        return random.SystemRandom().choice(sealed)
    if sealed and wishes.oldest:
        return sealed[-1]
    return pick("latest" if wishes.point is None else wishes.point, points)[0]


def _identities(settings: config.Config, wishes: Wishes, manifest: Manifest) -> list[Identity]:
    if not manifest.part("secrets"):
        return []
    path = wishes.identity or settings.secrets.identity_file
    if path is None:
        raise DrillError(
            "this point has a secrets bundle, and there is no age identity to open it with",
            hint="set identity_file in [secrets], or give --identity FILE",
        )
    return age.read_identities(path)


@dataclass(frozen=True)
class _Run:
    settings: config.Config
    catalog: Catalog
    manifest: Manifest
    binding: Binding
    wishes: Wishes
    id: str
    started_at: datetime
    identities: Sequence[Identity]
    listener: Listener
    stopwatch: Stopwatch

    def drill(self, *, newest: bool) -> DrillReport:
        """Restore, check, plant faults, tear down; what stops it on the way becomes the report's outcome."""
        stopwatch = self.stopwatch
        checks: tuple[CheckResult, ...] = ()
        controls: tuple[ControlResult, ...] = ()
        unplanted: tuple[Unplanted, ...] = ()
        problems: list[str] = []
        recovery: float | None = None
        vault: str | None = None
        sandbox = self.settings.sandboxes / self.id
        try:
            with _torn_down(stopwatch) as stack:
                own = private_directory(self.settings.sandboxes, self.id, passable=True)
                directory = stack.enter_context(own)
                restored = self._restore(directory, stack, stopwatch)
                recovery = stopwatch.seconds
                vault = restored.blobs.vault.where if restored.blobs and restored.blobs.vault else None
                proof = Proof(
                    self.manifest,
                    restored,
                    directory,
                    self.wishes.level,
                    self.binding,
                    self.settings.secrets,
                )
                with stopwatch.stage("checks"):
                    checks = proof.check()
                with stopwatch.stage("controls"):
                    controls, unplanted = proof.plant_faults(checks)
        except Interrupted:
            raise
        except DrkitError as error:
            problems.append(error.message)
        if sandbox.exists():
            problems.append(f"the sandbox {sandbox} is still there")
        report = self._report(stopwatch, checks, controls, problems, recovery)
        return replace(
            report,
            objectives=self._objectives(report, newest=newest),
            unplanted=unplanted,
            unproved=statements.unproved(self.manifest, checks, unplanted, self.wishes.level),
            databases=tuple(map(statements.summary, self.manifest.databases)),
            vault=vault,
        )

    def _restore(self, directory: Path, stack: contextlib.ExitStack, stopwatch: Stopwatch) -> Restored:
        builder = Builder(
            self.catalog.repository,
            self.manifest,
            directory,
            stack,
            user=self.settings.drill.user,
            image=self.settings.drill.database_image,
            level=self.wishes.level,
            identities=self.identities,
            open_vault=partial(vault_reading.opened, self.settings),
            stopwatch=stopwatch,
            listener=self.listener,
        )
        return builder.run()

    def _report(
        self,
        stopwatch: Stopwatch,
        checks: tuple[CheckResult, ...],
        controls: tuple[ControlResult, ...],
        problems: list[str],
        recovery: float | None,
    ) -> DrillReport:
        return DrillReport(
            id=self.id,
            site=self.manifest.site,
            point=self.manifest.id,
            level=self.wishes.level,
            outcome=verdict.decide(checks, controls, problems),
            started_at=self.started_at,
            finished_at=utc_now(),
            consistent_at=self.manifest.consistent_at,
            checks=checks,
            controls=controls,
            stages=stopwatch.stages,
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
        )

    def _objectives(self, report: DrillReport, *, newest: bool) -> tuple[Objective, ...]:
        """RTO of a full drill; RPO where the point is the newest, for an old one was young once."""
        goals = self.settings.objectives
        found = []
        if goals.rto and report.level == "full":
            target, actual = goals.rto.total_seconds(), report.recovery_time_seconds
            found.append(Objective("rto", target, actual, actual is not None and actual <= target))
        if goals.rpo and newest:
            target, actual = goals.rpo.total_seconds(), report.recovery_point_age_seconds
            # Of a point from the future nobody knows how old it is.
            found.append(Objective("rpo", target, actual, -SKEW.total_seconds() <= actual <= target))
        return tuple(found)


@contextlib.contextmanager
def _torn_down(stopwatch: Stopwatch) -> Iterator[contextlib.ExitStack]:
    """Servers end when the block does; how long that takes is a stage like any other."""
    stack = contextlib.ExitStack()
    try:
        yield stack
    finally:
        with stopwatch.stage("tear down"):
            stack.close()


def _keep(
    report: DrillReport, state: State, catalog: Catalog, wishes: Wishes, swept: Sequence[str]
) -> DrillReport:
    """Write the report here and where the user wants it, and store it in the repository with its point."""
    report = replace(report, problems=(*report.problems, *swept))
    homes = [state.drills / report.id, *([wishes.report] if wishes.report else [])]
    report = replace(report, report=str(homes[-1] / page.PAGE))
    try:
        catalog.keep_drill(report)
    except DrkitError as error:
        # A drill host may read the repository and not write it; the drill itself is no less true.
        note = (
            f"the report is not in the repository, so `expire` does not know of this drill: {error.message}"
        )
        report = replace(report, problems=(*report.problems, note))
    for home in homes:
        page.write(report, home)
    return report
