"""`drkit audit --repair`: missing and damaged blobs of a registry that runs, out of a recovery point.

First a plan: which of them the point has. Then each is brought beside its place, hashed there, and only then
gets its name. Nothing is deleted; what was cut off goes on by the same command, for what is there is right.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path

from drkit import config, tidying
from drkit.blobs import inventory
from drkit.blobs.bucket.live import LiveBucket
from drkit.blobs.bucket.mending import BucketMender
from drkit.blobs.digests import Spool
from drkit.blobs.directory import placing
from drkit.blobs.directory.live import LiveDirectory
from drkit.blobs.directory.mending import DirectoryMender, hashes_right
from drkit.blobs.inventory import Entry
from drkit.blobs.vault import fetching
from drkit.blobs.vault import reading as vault_reading
from drkit.errors import ConfigError, TargetUnfit
from drkit.model import Bucketed, PointManifest
from drkit.points.catalog import Catalog
from drkit.points.seal_files import SealFiles
from drkit.progress import Listener, Meter, Update, silent
from drkit.registry import storage
from drkit.reports.units import size as in_units
from drkit.state.directory import remove_tree
from drkit.tools.process import stopping
from drkit.tools.sorted_stream import SortedStream
from drkit.tools.tally import Tally

_STAGE = "repair"
# A listing is asked for so many by their names, for more it lists everything.
_FEW = 32
# restic compares every name with every pattern, two million in a second: where it is more than this, it is
# told one directory at a time.
_COMPARISONS = 100_000_000
_MOST = 1_000
_MOST_BYTES = 8 << 30

Tree = LiveDirectory | LiveBucket


@dataclass(frozen=True)
class RepairPlan:
    """What a repair will do: blobs, of so many bytes, that the point has; and those that it lacks."""

    point: str
    consistent_at: datetime
    source: str
    where: str
    blobs: int
    bytes: int
    names: tuple[str, ...]
    lacking: int
    lacking_names: tuple[str, ...]


@dataclass(frozen=True)
class Repair:
    """What a repair did: blobs put in place, and the first twenty that were set aside for them.

    `already` were right by then. `lacking` could not be had: the point does not have them, or has them
    wrongly.
    """

    plan: RepairPlan
    done: bool = False
    put: int = 0
    bytes: int = 0
    already: int = 0
    set_aside: tuple[str, ...] = ()
    lacking: int = 0
    lacking_names: tuple[str, ...] = ()


class Repairing:
    """One repair; `directory` is the run's own."""

    def __init__(
        self,
        settings: config.Config,
        catalog: Catalog,
        files: SealFiles,
        tree: Tree,
        directory: Path,
        listener: Listener,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._files = files
        self._tree = tree
        self._directory = directory
        self._listener = listener
        self._brought = directory / "to_bring.jsonl"
        self._lacking = Tally[str]()

    @property
    def _manifest(self) -> PointManifest:
        return self._files.manifest

    def plan(self, faulty: Spool) -> RepairPlan:
        """Which of the blobs the point has; raises ConfigError where it has no images.

        Raises TargetUnfit where they do not fit: pushes would fail on a full disk.
        """
        if not self._manifest.images:
            raise ConfigError(f"recovery point {self._manifest.id} has no images", hint="see `drkit points`")
        names, total, count = Tally[str](), 0, 0
        with self._brought.open("wb") as file:
            for entry in self._available(faulty):
                names.add(entry.digest)
                total, count = total + entry.size, count + 1
                file.writelines(inventory.to_lines([entry]))
        if isinstance(self._tree, LiveDirectory):
            see_that_it_fits(self._tree.root, total)
        bucketed = self._manifest.bucket
        return RepairPlan(
            self._manifest.id,
            self._manifest.consistent_at,
            f"the vault {bucketed.vault.where}" if bucketed else "the repository",
            self._tree.where,
            count,
            total,
            names.first,
            self._lacking.count,
            self._lacking.first,
        )

    def run(self, plan: RepairPlan) -> Repair:
        """Do it; raises ToolFailed, the repository's errors and the bucket's."""
        if not plan.blobs:
            return Repair(plan, True, lacking=plan.lacking, lacking_names=plan.lacking_names)
        put = already = size = 0
        aside = Tally[str]()
        with self._staging() as staging, self._opened() as shelf:
            mender = self._mender()
            meter = Meter(self._listener, _STAGE, plan.bytes)
            for number, batch in enumerate(
                _batches(inventory.from_file(self._brought), by_prefix=self._takes_long(plan))
            ):
                tree = staging / str(number)
                tree.mkdir(mode=0o700)
                self._bring(shelf, batch, tree)
                for entry in batch:
                    stopping.stop_if_asked()
                    made = storage.blob_path(tree, entry.digest)
                    if not hashes_right(made, entry.digest):
                        self._lacking.add(entry.digest)
                        continue
                    done = mender.put(entry.digest, made)
                    put, already = put + done.put, already + (not done.put)
                    size += entry.size if done.put else 0
                    if done.aside:
                        aside.add(done.aside)
                    meter.add(entry.size)
                remove_tree(tree)
        self._listener(Update(_STAGE, finished=True))
        return Repair(plan, True, put, size, already, aside.first, self._lacking.count, self._lacking.first)

    def _takes_long(self, plan: RepairPlan) -> bool:
        closure = self._manifest.closure
        return (closure.present if closure else 0) * min(plan.blobs, _MOST) > _COMPARISONS

    def _available(self, faulty: Iterable[tuple[str, int | None]]) -> Iterator[Entry]:
        """Those that the point has, sorted by digest; the others are noted."""
        wanted = [digest for digest, _size in faulty]
        stored = SortedStream(self._stored(wanted), attrgetter("digest"))
        for digest in wanted:
            entry = stored.at(digest)
            if entry is None:
                self._lacking.add(digest)
            else:
                yield entry

    def _stored(self, wanted: list[str]) -> Iterator[Entry]:
        """What the point has, sorted by digest; of a few wanted ones no more than these."""
        if self._manifest.bucket is not None:
            lines = self._files.lines("inventory", "inventory")
            yield from vault_reading.checked(inventory.from_lines(lines))
            return
        part = self._manifest.need("blobs", "blobs")
        folder = f"{part.path}/{storage.BLOBS}/sha256"
        below = [digest.removeprefix("sha256:") for digest in wanted]
        few = [f"{digits[:2]}/{digits}" for digits in below] if len(wanted) <= _FEW else []
        for path, size in self._catalog.repository.files(part.snapshot, folder, *few):
            digest = storage.digest_of_blob(path)
            if digest:
                yield Entry(digest, path, size)

    @contextlib.contextmanager
    def _staging(self) -> Iterator[Path]:
        """A directory for what is brought: beside the registry's where that is the target."""
        if isinstance(self._tree, LiveBucket):
            staging = self._directory / "brought"
            staging.mkdir(mode=0o700)
            yield staging
            return
        try:
            staging = placing.staging_for(self._tree.root, _STAGE)
            # What a repair that was killed has left.
            remove_tree(staging)
            staging = placing.make_staging(self._tree.root, _STAGE)
        except OSError as error:
            raise ConfigError(
                f"cannot make {error.filename}: {error.strerror}", hint="a repair must be able to write there"
            ) from None
        try:
            yield staging
        finally:
            with tidying.undisturbed():
                remove_tree(staging)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[vault_reading.VaultReader | None]:
        """The vault that has the point's blobs, if it is one of a bucket."""
        bucketed: Bucketed | None = self._manifest.bucket
        if bucketed is None:
            yield None
            return
        with vault_reading.opened(self._settings, bucketed, "restore") as shelf:
            yield shelf

    def _mender(self) -> DirectoryMender | BucketMender:
        if isinstance(self._tree, LiveBucket):
            return BucketMender(self._tree.bucket, self._tree.place, self._manifest.id)
        return DirectoryMender(self._tree.root, self._manifest.id)

    def _bring(self, shelf: vault_reading.VaultReader | None, batch: list[Entry], tree: Path) -> None:
        """Have the blobs below a tree of their own, as far as they can be had."""
        if shelf is not None:
            fetching.fetch(shelf, batch, tree, Meter(silent, _STAGE, None))
            return
        part = self._manifest.need("blobs", "blobs")
        top = f"{storage.BLOBS}/sha256"
        prefixes = {_prefix(entry) for entry in batch}
        if len(prefixes) == 1:
            top = f"{top}/{prefixes.pop()}"
        names = (str(storage.blob_name(entry.digest)).removeprefix(top) for entry in batch)
        include = self._directory / "include"
        include.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
        source, target = f"{part.snapshot}:{part.path}/{top}", tree / top
        self._catalog.repository.restore(source, target, include=include)


def see_that_it_fits(root: Path, needed: int) -> None:
    """Raise TargetUnfit where the file system of a directory has not so many bytes left."""
    free = shutil.disk_usage(root).free
    if free < needed:
        raise TargetUnfit(
            f"the missing and damaged blobs need {in_units(needed)} in {root}, and {in_units(free)} are free",
            hint="make room there and run it again: nothing was changed",
        )


def _prefix(entry: Entry) -> str:
    return entry.digest.removeprefix("sha256:")[:2]


def _batches(entries: Iterable[Entry], *, by_prefix: bool) -> Iterator[list[Entry]]:
    """The entries in lists that fit beside the registry; with `by_prefix`, each of one directory alone."""
    held: list[Entry] = []
    size = 0
    for entry in entries:
        full = len(held) >= _MOST or size + entry.size > _MOST_BYTES
        if held and (full or (by_prefix and _prefix(held[0]) != _prefix(entry))):
            yield held
            held, size = [], 0
        held.append(entry)
        size += entry.size
    if held:
        yield held
