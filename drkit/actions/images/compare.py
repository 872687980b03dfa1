"""`drkit show POINT --compare`: what was there at a recovery point and is not now; the other way a count."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, TypeVar

from drkit import config
from drkit.actions.images.listing import Lists
from drkit.database import locked
from drkit.errors import ConfigError
from drkit.harbor import listing, named
from drkit.harbor.named import Named
from drkit.model import PartKind, PointManifest, utc_now
from drkit.points.catalog import Catalog, open_catalog
from drkit.progress import Listener, Update, silent
from drkit.registry import image_list
from drkit.registry.image_list import Listed
from drkit.registry.selection import Selection
from drkit.serving.names import TreeNames
from drkit.state.directory import new_id, private_directory
from drkit.tools.postgres import sessions
from drkit.tools.postgres.sessions import Session
from drkit.tools.sorted_stream import grouped

# Of each kind so many are named; the count is that of all.
_MOST = 1000
# A migration that waits for its turn lets nobody before it: then this one waits no longer.
_LOCK_TIMEOUT = "2s"
_EVERYTHING = Selection("*", "*")
_REPOSITORY, _TAG, _IMAGE = "repository", "tag", "untagged image"
T = TypeVar("T")


@dataclass
class KindCompared:
    """One kind of thing: how many are gone, new and (of tags) mean another image now; names of the first two.

    Of a repository that is gone its tags are not counted again.
    """

    kind: str
    gone: int = 0
    moved: int = 0
    new: int = 0
    gone_names: list[str] = field(default_factory=list)
    moved_names: list[str] = field(default_factory=list)

    def lose(self, name: str) -> None:
        """One that is gone."""
        self.gone += 1
        if len(self.gone_names) < _MOST:
            self.gone_names.append(name)

    def move(self, name: str) -> None:
        """One that means something else."""
        self.moved += 1
        if len(self.moved_names) < _MOST:
            self.moved_names.append(name)


@dataclass(frozen=True)
class Comparison:
    """A recovery point beside the registry of this moment."""

    point: str
    consistent_at: datetime
    compared_at: datetime
    kinds: tuple[KindCompared, ...]


def compare(
    settings: config.Config, wanted: str, listener: Listener = silent, repository: str | None = None
) -> Comparison:
    """What a point has and the registry has not, by name.

    The database is only read, in one transaction that ends as soon as the lists have been compared. Raises
    NoSuchPoint, ConfigError, the database's errors.
    """
    settings = settings.at(repository)
    catalog = open_catalog(settings, repository)
    point, manifest = catalog.find(wanted)
    entries = _databases(settings, manifest)
    catalog.state.prepare()
    with contextlib.ExitStack() as stack:
        run = private_directory(catalog.state.runs, f"compare-{new_id(utc_now())}")
        directory = stack.enter_context(run)
        listener(Update("compare with the registry"))
        if entries:
            kinds = _of_harbor(catalog, manifest, entries, directory, stack)
        else:
            kinds = _of_tree(settings, Lists(catalog, stack), manifest)
        listener(Update("compare with the registry", finished=True))
        return Comparison(point.id, manifest.consistent_at, utc_now(), tuple(kinds))


def _databases(settings: config.Config, manifest: PointManifest) -> tuple[config.Database, ...]:
    """The configuration's databases that were Harbor's at the point; raises ConfigError where one lacks."""
    names = [each.name for each in manifest.databases if each.inventory is not None]
    found = tuple(each for each in settings.databases if each.name in names)
    if len(found) < len(names):
        raise ConfigError(
            f"the configuration does not say where the database {names[0]} is, to compare with",
            hint="run it on the registry's own machine, or write [[database]]",
        )
    return found


def _of_harbor(
    catalog: Catalog,
    manifest: PointManifest,
    entries: Sequence[config.Database],
    directory: Path,
    stack: contextlib.ExitStack,
) -> Iterator[KindCompared]:
    # The point's lists first, so that the transaction is short.
    images = _fetched(catalog, manifest, "tags", directory)
    names = _fetched(catalog, manifest, "names", directory)
    live = [stack.enter_context(_reading(entry)) for entry in entries]
    yield from compare_names(named.from_file(names), heapq.merge(*map(listing.names, live)))
    now = heapq.merge(*map(listing.images, live), key=itemgetter(0, 1, 2))
    yield from compare_images(image_list.from_file(images), now)


def _of_tree(settings: config.Config, lists: Lists, manifest: PointManifest) -> Iterator[KindCompared]:
    """A plain registry has tags alone, in its tree."""
    if not isinstance(settings.blobs, config.FilesystemBlobs):
        raise ConfigError(
            "only a registry with a database, or with distribution's tree in a directory, can be compared",
            hint="`drkit show POINT --images PATTERN` finds what a recovery point has",
        )
    now = TreeNames(settings.blobs.path).covered(_EVERYTHING)
    yield from compare_images(lists.covered(manifest, _EVERYTHING), now)


def _fetched(catalog: Catalog, manifest: PointManifest, kind: PartKind, directory: Path) -> Path:
    part, file = manifest.need(kind, kind), directory / kind
    with file.open("wb") as target:
        target.writelines(catalog.repository.read(part.snapshot, part.path, locked=False))
    return file


@contextlib.contextmanager
def _reading(entry: config.Database) -> Iterator[Session]:
    """A session that sees one moment, and changes nothing."""
    with sessions.connect(locked.target_of(entry), reads=True) as session, session.undone():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        session.execute("SELECT set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))
        yield session


def compare_names(then: Iterable[Named], now: Iterable[Named]) -> list[KindCompared]:
    """Both sorted, each name once."""
    kinds: dict[str, KindCompared] = {}
    for was, there in _merged(then, now, lambda each: each):
        found = was or there
        assert found is not None
        kind = kinds.setdefault(found.kind, KindCompared(found.kind))
        if there is None:
            kind.lose(found.name)
        elif was is None:
            kind.new += 1
    return list(kinds.values())


def compare_images(then: Iterable[Listed], now: Iterable[Listed]) -> list[KindCompared]:
    """Both sorted by repository."""
    repositories, tags, images = (KindCompared(kind) for kind in (_REPOSITORY, _TAG, _IMAGE))
    by = attrgetter("repository")
    for was, there in _merged(grouped(then, by), grouped(now, by), itemgetter(0)):
        if there is None and was is not None:
            repositories.lose(f"{was[0]} ({sum(bool(each.tag) for each in was[1])} tags)")
        elif was is None and there is not None:
            repositories.new += 1
        elif was is not None and there is not None:
            _of_repository(tags, images, was[1], there[1])
    return [repositories, tags, images]


def _of_repository(
    tags: KindCompared, images: KindCompared, then: Sequence[Listed], now: Sequence[Listed]
) -> None:
    there = {each.tag: each.digest for each in now if each.tag}
    for each in (each for each in then if each.tag):
        name = f"{each.repository}:{each.tag}"
        if each.tag not in there:
            tags.lose(name)
        elif there[each.tag] != each.digest:
            tags.move(name)
    tags.new += len(there.keys() - {each.tag for each in then})
    # Children and accessories come and go with what they are of.
    was, still = ({e.digest for e in side if not e.tag and e.kind == "image"} for side in (then, now))
    everything = {each.digest for each in now}
    for digest in sorted(was - everything):
        images.lose(f"{then[0].repository}@{digest}")
    images.new += len(still - {each.digest for each in then})


def _merged(
    then: Iterable[T], now: Iterable[T], key: Callable[[T], Any]
) -> Iterator[tuple[T | None, T | None]]:
    """Items of two sorted streams, those with one key together."""
    left, right = iter(then), iter(now)
    was, there = next(left, None), next(right, None)
    while was is not None or there is not None:
        if there is None or (was is not None and key(was) < key(there)):
            yield was, None
            was = next(left, None)
        elif was is None or key(there) < key(was):
            yield None, there
            there = next(right, None)
        else:
            yield was, there
            was, there = next(left, None), next(right, None)
