"""`drkit audit`: do database and images of the registry that runs belong together?

Nothing of the registry's is changed, unless `--repair` is asked for: then missing and damaged blobs come
back from a recovery point, and everything is looked at again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drkit import config
from drkit.actions import leftovers
from drkit.actions.audit import result
from drkit.actions.audit.examine import Examination
from drkit.actions.audit.plan import OF_BLOBS, in_words
from drkit.actions.audit.repair import Repair, Repairing, RepairPlan, Tree
from drkit.actions.audit.result import AuditResult
from drkit.blobs.bucket.live import LiveBucket
from drkit.blobs.directory.live import LiveDirectory
from drkit.blobs.ends import place_of_blobs
from drkit.blobs.opening import open_bucket
from drkit.errors import (
    ConfigError,
    NotGreen,
    NotSupported,
    RestoreDamaged,
    ToolFailed,
    ToolMissing,
    UsageError,
)
from drkit.model import Point, utc_now
from drkit.points.catalog import Catalog, open_catalog
from drkit.progress import Listener, silent
from drkit.registry import storage
from drkit.state.directory import State, new_id, private_directory
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from drkit.tools.restic import output
from drkit.tools.restic import repository as restic
from drkit.tools.tally import first_few

log = logging.getLogger(__name__)

_RUN = "audit-"


@dataclass(frozen=True)
class AuditOptions:
    """What the command line says."""

    read_data_subset: str | None = None
    repair: str | None = None
    dry_run: bool = False
    repository: str | None = None
    cluster: str | None = None


def audit(
    settings: config.Config,
    options: AuditOptions,
    agree: Callable[[RepairPlan], None] = lambda _plan: None,
    listener: Listener = silent,
) -> AuditResult:
    """Look at the registry; with a repair, `agree` is shown the plan and raises where it must not be done.

    Raises NotGreen with the result where production is damaged, RestoreDamaged with it where the point of a
    repair lacks blobs; UsageError, ConfigError, what databases, buckets and the repository raise.
    """
    settings = settings.over(options.cluster)
    _refuse_nonsense(settings, options)
    state = State(settings.site.state)
    state.prepare()
    with state.audit_lock(settings.site.lock_wait), contextlib.ExitStack() as stack:
        swept = leftovers.sweep_named(state, _RUN)
        if options.repair:
            restic.require(restic.version())
            if not options.dry_run:
                # Nobody restores or backs up while blobs are put in place.
                stack.enter_context(state.site_lock("audit", settings.site.lock_wait))
        _be_modest()
        directory = stack.enter_context(private_directory(state.runs, f"{_RUN}{new_id(utc_now())}"))
        tree = stack.enter_context(_opened(settings))
        run = _Audit(settings, options, state, tree, directory, listener, swept)
        return _judged(run.run(agree))


@dataclass
class _Audit:
    settings: config.Config
    options: AuditOptions
    state: State
    tree: Tree
    directory: Path
    listener: Listener
    swept: tuple[str, ...]

    def run(self, agree: Callable[[RepairPlan], None]) -> AuditResult:
        began = time.monotonic()
        # A point that is not there is told of before anything takes long.
        catalog = open_catalog(self.settings, self.options.repository) if self.options.repair else None
        point = catalog.find(self.options.repair or "", locked=True)[0] if catalog else None
        looked = self._examination("first")
        account = looked.run(self.options.read_data_subset)
        repair: Repair | None = None
        if catalog and point and len(looked.faulty):
            repair = self._repair(catalog, point, looked, agree)
            if repair.put or repair.already:
                # Nothing is read once more: what was put there was hashed before it had its name.
                again = self._examination("second")
                account = again.run(None)
                again.read, again.read_bytes, again.shared = looked.read, looked.read_bytes, looked.shared
                looked = again
        return result.of(
            self.settings.site.name,
            self.tree.where,
            looked,
            account,
            repair=repair,
            swept=self.swept,
            subset=self.options.read_data_subset,
            nothing_to_repair=bool(catalog) and repair is None,
            seconds=time.monotonic() - began,
        )

    def _examination(self, name: str) -> Examination:
        directory = self.directory / name
        directory.mkdir(mode=0o700)
        return Examination(self.settings, self.tree, directory, self.state.audited, self.listener)

    def _repair(
        self, catalog: Catalog, point: Point, looked: Examination, agree: Callable[[RepairPlan], None]
    ) -> Repair:
        lists = self.directory / "lists"
        lists.mkdir(mode=0o700)
        files = catalog.fetch_seal(point, lists)
        work = Repairing(self.settings, catalog, files, self.tree, self.directory, self.listener)
        plan = work.plan(looked.faulty)
        if self.options.dry_run:
            return Repair(plan, lacking=plan.lacking, lacking_names=plan.lacking_names)
        if plan.blobs:
            agree(plan)
        return work.run(plan)


def _refuse_nonsense(settings: config.Config, options: AuditOptions) -> None:
    subset = options.read_data_subset
    if subset is not None and not output.is_subset(subset):
        raise UsageError(
            f'"{subset}" is not a share of the data',
            hint="for example 5%, 1/7 or 2G; 100% reads everything",
        )
    if not options.repair and (options.dry_run or options.repository):
        option = "--dry-run" if options.dry_run else "--repository"
        raise UsageError(f"{option} goes with --repair", hint="without --repair an audit changes nothing")
    settings.repository(options.repository)
    if settings.blobs is None:
        raise ConfigError(
            "there are no images to look at: the configuration has no [blobs]",
            hint="an audit runs on the registry's host, with the configuration that backups have",
        )


@contextlib.contextmanager
def _opened(settings: config.Config) -> Iterator[Tree]:
    """The registry's storage; raises ToolFailed where there is none."""
    blobs = settings.blobs
    assert blobs is not None
    if isinstance(blobs, config.BucketBlobs):
        with open_bucket(blobs) as bucket:
            yield LiveBucket(bucket, place_of_blobs(blobs))
        return
    if isinstance(blobs, config.LayoutBlobs):
        raise NotSupported(
            f"the images in {blobs.path} are OCI layouts, which this version of drkit does not audit",
            hint="`drkit backup` proves that their indexes and manifests hold; `zot scrub` reads every byte",
        )
    root = blobs.path.resolve()
    if not (root / storage.TREE).is_dir():
        raise ToolFailed(
            f"there is no registry in {root}: it has no {storage.TREE}",
            hint="is the right volume mounted there? see path in [blobs]",
        )
    yield LiveDirectory(root)


def _be_modest() -> None:
    """Let production go first, at the processor and at the disk."""
    os.nice(10)
    try:
        # The threads that begin from here on inherit it.
        execute.check(Command(("ionice", "-c", "3", "-p", str(os.getpid()))))
    except (ToolFailed, ToolMissing) as error:
        log.info("the disk is read at the usual priority: %s", error.message)


def _judged(found: AuditResult) -> AuditResult:
    """The result, if all is well."""
    repair = found.repair
    if repair and repair.lacking:
        raise RestoreDamaged(
            f"recovery point {repair.plan.point} does not have {repair.lacking:,} of the missing and damaged"
            f" blobs, or has them wrongly: {first_few(repair.lacking_names)}",
            hint="try another point, see `drkit points`; or push those images again",
            result=found,
        )
    if found.whole:
        return found
    # What is left after a repair is not mended by the next one: bytes that hash right and a row that says
    # another size, for one.
    of_blobs = any(found.counts.get(kind) for kind in OF_BLOBS) and not (repair and repair.done)
    raise NotGreen(
        f"production is damaged: {in_words(found.counts)}",
        hint="`drkit audit --repair latest` brings blobs back from a recovery point"
        if of_blobs
        else "what an audit cannot mend is explained in docs/audit.md",
        result=found,
    )
