"""`drkit copy`: sealed recovery points of the primary repository in further ones, whole or not at all.

One restic copies many points, of each the seal after the parts; then one looks what has arrived: until its
seal is there, and every part that it names, a point counts for nothing there. What is cut off is gone on with
by the next run.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from drkit import config
from drkit.actions import hosts, known_points, leftovers
from drkit.actions.copy import vault
from drkit.actions.copy.vault import Brought, VaultCopied
from drkit.errors import DrkitError, Failure, NotRemoved, ToolFailed, UsageError
from drkit.model import Point, utc_now
from drkit.points import copies
from drkit.points.catalog import Catalog, open_catalog
from drkit.points.choice import pick
from drkit.points.copies import CopyPlan, Wanted
from drkit.points.listing import Listing
from drkit.points.ownership import Ownership
from drkit.progress import Listener, silent
from drkit.reports.units import counted
from drkit.state.directory import State
from drkit.tools.restic import repository as restic
from drkit.tools.tally import first_few

log = logging.getLogger(__name__)

# Each point has a few snapshots, whose ids are arguments of one restic.
_AT_ONCE = 500


@dataclass(frozen=True)
class CopyOptions:
    """What the command line says; `to` names a repository, else all but the primary are meant."""

    point: str | None = None
    to: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class LeftOut:
    """A point that is not copied, and why."""

    point: str
    why: str


@dataclass(frozen=True)
class CopiedTo:
    """What became of one repository: the points that were copied, or would be, newest first.

    `there` is how many were there already; `failed` says why not all of it was done, or nothing.
    """

    repository: str
    points: tuple[str, ...]
    there: int
    left_out: tuple[LeftOut, ...] = ()
    warnings: tuple[str, ...] = ()
    swept: tuple[str, ...] = ()
    seconds: float = 0.0
    failed: str = ""
    # What was new to the vault of its own, where it has one and points rely on it.
    vault: VaultCopied | None = None


@dataclass(frozen=True)
class CopyResult:
    """What was copied, or would be, from the repository `source`."""

    source: str
    copies: tuple[CopiedTo, ...]
    dry_run: bool
    seconds: float


def copy(settings: config.Config, options: CopyOptions, listener: Listener = silent) -> CopyResult:
    """Copy what is to be copied; one repository that fails does not stop the others.

    Raises the first error of a repository with the CopyResult; NoSuchPoint, UsageError, and the errors of the
    primary repository.
    """
    restic.require(restic.version())
    names = _targets(settings, options.to)
    started = time.monotonic()
    State(settings.site.state).prepare()
    source = open_catalog(settings)
    found = source.look(locked=True)
    chosen = pick(options.point, found.points)[0] if options.point is not None else None
    done: list[CopiedTo] = []
    first: DrkitError | None = None
    for name in names:
        work = _Copy(settings, source, found, name, listener)
        try:
            done.append(work.run(chosen, dry_run=options.dry_run))
        except Failure as error:
            first = first or error
            done.append(replace(work.so_far, failed=error.message))
    result = CopyResult(source.name, tuple(done), options.dry_run, round(time.monotonic() - started, 3))
    if first is not None:
        failed = [each.repository for each in done if each.failed]
        said = f"not everything was copied to {', '.join(failed)}: {first.message}"
        raise type(first)(said, hint=first.hint, result=result)
    return result


def _targets(settings: config.Config, wanted: str | None) -> tuple[str, ...]:
    further = tuple(repository.name for repository in settings.repositories[1:])
    if not further:
        raise UsageError(
            "there is no repository to copy to: the configuration has one [[repository]]",
            hint="add one with `drkit init --copy-to URL`",
        )
    if wanted is None:
        return further
    if settings.repository(wanted) is settings.primary:
        raise UsageError(
            f"{wanted} is the primary repository, which points are copied from",
            hint=f"name another: {', '.join(further)}",
        )
    return (wanted,)


@dataclass
class _Copy:
    """The copying into one repository; `so_far` is what has been done of it."""

    settings: config.Config
    source: Catalog
    listing: Listing
    name: str
    listener: Listener

    def __post_init__(self) -> None:
        self.so_far = CopiedTo(self.name, (), 0)

    def run(self, chosen: Point | None, *, dry_run: bool) -> CopiedTo:
        """Copy what is lacking there; raises what stops it."""
        began = time.monotonic()
        with self.source.state.copy_lock(self.name):
            target = open_catalog(self.settings, self.name)
            target = replace(target, alike=self.source.manifests(self.listing.snapshots))
            there = target.look(locked=True)
            missed = known_points.look(target, there)
            rules = self.settings.retention_of(self.settings.repository(self.name))
            mine = hosts.ownership(self.settings)
            # One that is named may be another host's.
            both = [each if chosen else _counted(mine, each) for each in (self.listing, there)]
            found = copies.plan(both[0], both[1], rules, utc_now(), chosen)
            self.so_far = replace(
                self.so_far,
                there=found.there,
                left_out=tuple(LeftOut(point, why) for point, why in found.left_out),
                warnings=(missed.warnings if missed else ()) + tuple(self._doubtful()),
            )
            if dry_run:
                return replace(self.so_far, points=tuple(each.point.id for each in found.points))
            with vault.bringing(
                self.settings, self.source, target, found.points, there, self.listener
            ) as brought:
                if brought is not None:
                    found = self._without(found, brought)
                there = self._copy(target, found, there)
            known_points.learn(target, there)
            self._sweep(target, there)
        return replace(self.so_far, seconds=round(time.monotonic() - began, 3))

    def _without(self, found: CopyPlan, brought: Brought) -> CopyPlan:
        """The plan without the points whose blobs could not be brought, which is told of all the others."""
        lacking = brought.lacking
        left_out = (*self.so_far.left_out, *(LeftOut(point, why) for point, why in lacking.items()))
        warnings = self.so_far.warnings
        if brought.copied.bad:
            warnings += (
                f"the first vault is damaged: {counted(brought.copied.bad, 'blob')} whose bytes do not hash"
                f" to the name did not go along, such as {brought.copied.bad_names[0]}",
            )
        self.so_far = replace(self.so_far, left_out=left_out, warnings=warnings, vault=brought.copied)
        return replace(found, points=tuple(p for p in found.points if p.point.id not in lacking))

    def _doubtful(self) -> Iterator[str]:
        """Points that nobody can copy, for they are not whole where they are."""
        for point in self.listing.points:
            if point.doubt:
                yield f"it is not copied: {point.doubt}"

    def _copy(self, target: Catalog, found: CopyPlan, there: Listing) -> Listing:
        """Copy it in pieces, and confirmations of losses with the first; returns what is there then."""
        records = found.records
        for start in range(0, max(len(found.points), 1), _AT_ONCE):
            wanted = found.points[start : start + _AT_ONCE]
            snapshots = [s for each in wanted for s in (*each.parts, each.seal)]
            if wanted or records:
                there = self._some(target, wanted, (*records, *snapshots), there)
            records = ()
        return there

    def _some(
        self, target: Catalog, wanted: Sequence[Wanted], snapshots: Sequence[str], before: Listing
    ) -> Listing:
        """Copy these snapshots of points, and look what is there then; raises ToolFailed if it is not all."""
        try:
            target.repository.copy_from(
                self.source.repository, snapshots, f"points to {self.name}", self.listener
            )
        except Failure:
            # What is whole there has been copied all the same, and is told.
            with contextlib.suppress(Failure):
                self._note(wanted, target.look())
            raise
        there = target.look()
        self._note(wanted, there)
        self._refuse_lacking(target, wanted, before, there)
        return there

    def _note(self, wanted: Sequence[Wanted], there: Listing) -> None:
        """Note which points are whole there now."""
        points = {point.id: point for point in there.points}
        whole = (each.point.id for each in wanted if _is_there(each, points.get(each.point.id)))
        self.so_far = replace(self.so_far, points=(*self.so_far.points, *whole))

    def _refuse_lacking(
        self, target: Catalog, wanted: Sequence[Wanted], before: Listing, there: Listing
    ) -> None:
        """restic passes over what it cannot read, and its exit code is 0: no seal stays without its parts."""
        if lacking := copies.lacking(wanted, there.snapshots):
            target.repository.forget(copies.new_seals(lacking, before.snapshots, there.snapshots))
            parts = [f"{part} of {point}" for point, names in lacking.items() for part in names]
            raise ToolFailed(
                f"parts have not arrived in {self.name}, so their points were not sealed there:"
                f" {first_few(parts)}",
                hint="run `drkit copy` again; if it stays so, `drkit verify` says what is damaged",
            )
        points = {point.id: point for point in there.points}
        for each in wanted:
            point = points.get(each.point.id)
            if not _is_there(each, point):
                why = point.doubt if point and point.doubt else f"the seal of {each.point.id} is not there"
                raise ToolFailed(
                    f"restic has copied {each.point.id}, and it is not whole there: {why}",
                    hint=f"run `drkit verify --repository {self.name}`",
                )

    def _sweep(self, target: Catalog, there: Listing) -> None:
        """What earlier runs left there; that it cannot be removed is told, and fails nothing."""
        swept, warnings = self.so_far.swept, self.so_far.warnings
        try:
            swept += leftovers.sweep_superseded(target, there.points)
            left = copies.remains(self.listing, there, target.state.machine)
            swept += leftovers.sweep_points(target, left)
        except NotRemoved as error:
            warnings += (f"{error.message}: {error.hint}",)
        self.so_far = replace(self.so_far, swept=swept, warnings=warnings)


def _is_there(wanted: Wanted, there: Point | None) -> bool:
    """Whether a point is sealed there as it is to be."""
    return bool(there and there.manifest and there.manifest.revision >= wanted.manifest.revision)


def _counted(mine: Ownership, listing: Listing) -> Listing:
    """A listing without the points of other hosts."""
    return replace(listing, points=mine.counted(listing.points))
