"""`drkit drill`: restore a point into a sandbox and prove it, with a stopwatch running."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from drkit import config
from drkit.actions import hosts, leftovers, spreading
from drkit.actions.drill import keeping, reading, scratch, signing, verdict
from drkit.actions.drill.options import DrillOptions, refuse_several, refuse_upgrade
from drkit.actions.drill.sandboxed import SandboxedDrill
from drkit.blobs.vault import reading as vault_reading
from drkit.checks.binding import Binding
from drkit.errors import DrillError, ToolFailed
from drkit.model import (
    DrillReport,
    Point,
    PointManifest,
    utc_now,
)
from drkit.points import collapse
from drkit.points.catalog import Catalog, open_catalog
from drkit.points.choice import pick
from drkit.points.seal_files import SealFiles
from drkit.progress import Listener, silent
from drkit.reports import junit, page
from drkit.state.directory import State, new_id, private_directory
from drkit.stopwatch import Stopwatch
from drkit.tools import age
from drkit.tools.age import Identity
from drkit.tools.parallel import side_by_side
from drkit.tools.restic import repository


def drill(settings: config.Config, options: DrillOptions, listener: Listener = silent) -> DrillReport:
    """Drill one point.

    Raises DrillFailed or DrillError with the DrillReport where it did not pass, and DrillError without one
    where it could not even begin; UsageError, NoSuchPoint and the repository's errors.
    """
    refuse_several(options)
    refuse_upgrade(options)
    settings = settings.at(options.repository).over(options.cluster)
    # What is wrong with these shows before an hour of work.
    key = signing.read_key(settings)
    if options.report is not None:
        page.look(options.report)
    if options.junit is not None:
        junit.begin(options.junit)
    repository.require(repository.version())
    state = State(settings.site.state)
    state.prepare()
    swept = leftovers.sweep_sandboxes(settings.sandboxes)
    # On the day, finding the point takes its time as well.
    started, stopwatch = utc_now(), Stopwatch(listener)
    with stopwatch.stage("find the point"):
        catalog = open_catalog(settings, options.repository)
        listing = catalog.look(locked=True)
        points = listing.points
        # What is named may be another host's; else this one's are what has to be proven.
        counted = points if options.point else hosts.ownership(settings).counted(points)
        point = choose(counted, options)
    name = new_id(started)
    # From here on nothing is read but what a bare host would read.
    cache = private_directory(settings.sandboxes, f"{name}.cache")
    with scratch.room(settings.sandboxes), cache as copies, side_by_side() as tasks:
        bare = catalog.without_copies(copies)
        files, unread = _read(bare, point, copies / "seal", stopwatch)
        manifest = files.manifest
        spreading.refuse_alone(options.cluster, "a drill of this point", bucket=manifest.bucket is not None)
        spreading.refuse_unseen(settings, options.cluster, settings.sandboxes)
        streamed = scratch.must_stream(settings.sandboxes, manifest, options.level)
        identities = _identities(settings, options, manifest)
        if manifest.bucket is not None:
            # Before a sandbox is built for a drill that nobody has configured.
            vault_reading.vault_for(settings, manifest.bucket)
        other = next((p.manifest for p in points if p.manifest and p.id != point.id), None)
        binding = Binding(manifest, lambda: bare.snapshots_of(point.id), other)
        lost = collapse.without_images(collapse.of_point(point.id, points, listing.confirmed))
        read = reading.of_drill(tasks, settings, catalog, manifest, copies, name, started)
        run = SandboxedDrill(
            settings,
            bare,
            files,
            binding,
            options,
            name,
            started,
            identities,
            listener,
            stopwatch,
            lost,
            read.judged,
            streamed,
        )
        newest = point.id == next(p.id for p in points if p.manifest)
        report = run.unread(unread) if unread else run.drill(newest=newest)
        report = read.recorded(report)
    report = replace(report, problems=(*report.problems, *swept))
    homes = [state.drills / report.id, *([options.report] if options.report else [])]
    kept = keeping.keep(report, catalog, settings, point, key, homes, listing.drills)
    if options.junit is not None:
        kept = keeping.add_junit(kept, options.junit)
    verdict.judge(kept.report)
    kept.require_all()
    return kept.report


def choose(points: Sequence[Point], options: DrillOptions) -> Point:
    """The point to drill; raises NoSuchPoint."""
    sealed = [point for point in points if point.manifest]
    if sealed and options.random:
        return random.SystemRandom().choice(sealed)
    if sealed and options.oldest:
        return sealed[-1]
    return pick("latest" if options.point is None else options.point, points)[0]


def _read(bare: Catalog, point: Point, directory: Path, stopwatch: Stopwatch) -> tuple[SealFiles, str]:
    """The seal as a bare host reads it; where it cannot, the manifest here (to report on) and the reason."""
    assert point.manifest is not None
    with stopwatch.stage("fetch the seal"):
        try:
            directory.mkdir(mode=0o700)
            return bare.fetch_seal(point, directory), ""
        except ToolFailed as error:
            return SealFiles(point.manifest, {}), error.message


def _identities(settings: config.Config, options: DrillOptions, manifest: PointManifest) -> list[Identity]:
    if not manifest.part("secrets"):
        return []
    path = options.identity or settings.secrets.identity_file
    if path is None:
        raise DrillError(
            "this point has a secrets bundle, and there is no age identity to open it with",
            hint="set identity_file in [secrets], or give --identity FILE",
        )
    return age.read_identities(path)
