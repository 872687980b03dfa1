"""Which digests the manifests need, remembered from backup to backup.

A manifest never changes under its digest, so each is read once: a night's work grows with what is new. The
memory is a cache below the state directory; without it everything is read again.
"""

from __future__ import annotations

import contextlib
import heapq
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from drkit.errors import ManifestMissing, ToolFailed
from drkit.model import ManifestProof
from drkit.registry.closure import Digest
from drkit.registry.image_manifests import Needs
from drkit.tools.parallel import in_order
from drkit.tools.scratch import of_disk
from drkit.tools.sorted_stream import SortedStream
from drkit.tools.tally import Tally

_BATCH = 2_000
# Raised when the meaning of the tables changes: an older cache is thrown away.
_VERSION = 2
_TABLES = """
CREATE TABLE IF NOT EXISTS manifest (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS need (digest TEXT, manifest INTEGER, PRIMARY KEY (digest, manifest)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS child (
    manifest INTEGER, digest TEXT, PRIMARY KEY (manifest, digest)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS elsewhere (
    digest TEXT, manifest INTEGER, PRIMARY KEY (digest, manifest)
) WITHOUT ROWID;
"""
_PASSING = """
CREATE TEMPORARY TABLE root (digest TEXT PRIMARY KEY) WITHOUT ROWID;
-- Not kept: what is wrong today is looked at again tomorrow.
CREATE TEMPORARY TABLE bad (digest TEXT PRIMARY KEY, missing INTEGER) WITHOUT ROWID;
CREATE TEMPORARY TABLE unserved (digest TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMPORARY TABLE found (digest TEXT, manifest INTEGER);
CREATE TEMPORARY TABLE gone (id INTEGER PRIMARY KEY);
"""
_FORGET = """
DELETE FROM need WHERE manifest IN (SELECT id FROM gone);
DELETE FROM child WHERE manifest IN (SELECT id FROM gone);
DELETE FROM elsewhere WHERE manifest IN (SELECT id FROM gone);
DELETE FROM manifest WHERE id IN (SELECT id FROM gone);
"""


@dataclass
class _Found:
    manifests: int = 0
    read: int = 0
    faults: Tally[str] = field(default_factory=Tally)
    unlisted: Tally[str] = field(default_factory=Tally)
    lost: Tally[str] = field(default_factory=Tally)

    def proof(self, who: Callable[[str], str]) -> ManifestProof:
        return ManifestProof(
            self.manifests,
            self.read,
            self.faults.count,
            self.unlisted.count,
            self.faults.first,
            tuple(map(who, self.unlisted.first)),
            self.lost.count,
            self.lost.first,
        )


class ManifestCache:
    """What each manifest needs; use it as a context."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found = _Found()
        self._store = self._open()

    def __enter__(self) -> ManifestCache:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def learn(self, read: Callable[[str], Needs], roots: Iterable[Digest], *, readers: int = 1) -> None:
        """Read what is new among the manifests `roots`, and forget all others; once for each ManifestCache.

        `read` is called from so many threads as `readers` says; what it raises ToolFailed for is a fault of
        that manifest. Raises ToolFailed where the cache cannot be written.
        """
        with self._kept():
            self._store.executescript(_PASSING)
            self._store.executemany("INSERT OR IGNORE INTO root VALUES (?)", ((name,) for name, _ in roots))
            self._read_new(read, readers)
            self._forget_old()
            self._found.manifests = self._count("root")
            self._store.commit()

    def compare(self, listed: Iterable[Digest], is_stored: Callable[[str], bool]) -> ManifestProof:
        """Compare all that the manifests need with a sorted list of what must be there.

        A manifest whose bytes are missing is a fault where it is on the list; where not, it is a child that
        was never pushed, or one that was deleted. `is_stored` says whether production has
        the bytes of a digest that is not on the list.
        """
        with self._kept():
            self._compare(listed, is_stored)
            return self._found.proof(self._who)

    def needs_blob(self, digest: str) -> bool:
        """Whether a manifest needs it as a configuration or layer."""
        query = (
            "SELECT 1 FROM need n WHERE n.digest = ? AND NOT EXISTS"
            " (SELECT 1 FROM child c WHERE c.manifest = n.manifest AND c.digest = n.digest)"
        )
        return self._store.execute(query, (digest,)).fetchone() is not None

    def unlinked_children(self, images: Path) -> Iterator[tuple[str, str, str]]:
        """(repository, index, child) where a repository has an index, and not the child among its images.

        `images` is the database of an ImageSpool.
        """
        self._store.execute("ATTACH ? AS run", (str(images),))
        query = (
            "SELECT i.repository, m.digest, c.digest FROM child c JOIN manifest m ON m.id = c.manifest"
            " JOIN run.image i ON i.digest = m.digest WHERE NOT EXISTS"
            " (SELECT 1 FROM run.image j WHERE j.repository = i.repository AND j.digest = c.digest)"
            " ORDER BY 1, 2, 3"
        )
        yield from self._store.execute(query)

    def needed(self) -> Iterator[Digest]:
        """Every digest that a manifest needs and that is stored by its name, sorted."""
        query = "SELECT DISTINCT digest FROM need WHERE digest LIKE 'sha256:%' ORDER BY digest"
        for (digest,) in self._store.execute(query):
            yield digest, None

    def holders(self, digest: str) -> Iterator[tuple[str, str]]:
        """(repository, digest) of the images that need a digest, or are it; after `unlinked_children`."""
        self._store.execute("CREATE INDEX IF NOT EXISTS run.image_by_digest ON image (digest)")
        query = (
            "SELECT repository, digest FROM run.image WHERE digest IN (SELECT ?1 UNION"
            " SELECT m.digest FROM need n JOIN manifest m ON m.id = n.manifest WHERE n.digest = ?1)"
        )
        yield from self._store.execute(query, (digest,))

    def layers_in(self, images: Path) -> Iterator[tuple[str, str]]:
        """(repository, digest) of every configuration and layer that an image needs, sorted, each once.

        `images` is the database of an ImageSpool, in which nothing was looked for yet.
        """
        self._store.execute("ATTACH ? AS run", (str(images),))
        self._store.execute("CREATE INDEX IF NOT EXISTS run.image_by_digest ON image (digest)")
        # CROSS JOIN keeps this order (sqlite.org/optoverview): from images to needs, each would be a scan.
        query = (
            "SELECT DISTINCT i.repository, n.digest FROM need n CROSS JOIN manifest m ON m.id = n.manifest"
            " CROSS JOIN run.image i ON i.digest = m.digest WHERE n.digest LIKE 'sha256:%' AND NOT EXISTS"
            " (SELECT 1 FROM child c WHERE c.manifest = n.manifest AND c.digest = n.digest)"
            " ORDER BY 1, 2"
        )
        yield from self._store.execute(query)

    def images_with(self, repository: str, layer: str) -> Iterator[str]:
        """The images of a repository that need it as a configuration or layer, sorted; after `layers_in`."""
        query = (
            "SELECT m.digest FROM need n CROSS JOIN manifest m ON m.id = n.manifest CROSS JOIN run.image i"
            " ON i.digest = m.digest AND i.repository = ? WHERE n.digest = ? AND NOT EXISTS"
            " (SELECT 1 FROM child c WHERE c.manifest = n.manifest AND c.digest = n.digest) ORDER BY 1"
        )
        for (digest,) in self._store.execute(query, (repository, layer)):
            yield digest

    def excuse(self, child: str) -> None:
        """A child of an index that production does not serve: it need not be on the list."""
        self._store.execute("INSERT OR IGNORE INTO unserved VALUES (?)", (child,))

    def elsewhere(self) -> Iterator[tuple[str, str]]:
        """(layer, one of its manifests) of every layer that only its URLs tell from others."""
        yield from self._store.execute(
            "SELECT e.digest, min(m.digest) FROM elsewhere e JOIN manifest m ON m.id = e.manifest"
            " WHERE NOT EXISTS (SELECT 1 FROM need n WHERE n.digest = e.digest) GROUP BY e.digest ORDER BY 1"
        )

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if isinstance(refused := of_disk(error, self._path), OSError):
                raise refused from None
            raise ToolFailed(
                f"cannot keep what the manifests need in {self._path}: {error}", hint="remove that file"
            ) from None

    def _read_new(self, read: Callable[[str], Needs], readers: int) -> None:
        """Read every manifest that is not known yet, the children of an index after it."""

        def look(digest: str) -> tuple[str, Needs | ToolFailed]:
            try:
                return digest, read(digest)
            except ToolFailed as error:
                return digest, error

        after = ""
        while new := self._unknown(after) or self._unknown_children():
            after = new[-1]
            # Where they come from a bucket, what costs time is to wait for them.
            results = in_order(new, look, readers) if readers > 1 else map(look, new)
            for digest, found in results:
                self._found.read += 1
                if isinstance(found, ToolFailed):
                    missing = isinstance(found, ManifestMissing)
                    if not missing:
                        self._found.faults.add(found.message)
                    self._store.execute("INSERT OR IGNORE INTO bad VALUES (?, ?)", (digest, missing))
                else:
                    self._remember(digest, found)
        # Sorted first, so that the large table grows in its own order.
        self._store.execute("INSERT OR IGNORE INTO need SELECT digest, manifest FROM found ORDER BY 1, 2")

    def _unknown(self, after: str = "") -> list[str]:
        """The next of those that nobody has read, sorted; to look from the first on would be quadratic."""
        query = (
            "SELECT digest FROM root r WHERE digest > ?"
            " AND NOT EXISTS (SELECT 1 FROM manifest m WHERE m.digest = r.digest)"
            " AND NOT EXISTS (SELECT 1 FROM bad b WHERE b.digest = r.digest) ORDER BY digest LIMIT ?"
        )
        return [digest for (digest,) in self._store.execute(query, (after, _BATCH))]

    def _unknown_children(self) -> list[str]:
        """Let the children of known indices count as well; returns those that are to be read."""
        query = (
            "INSERT OR IGNORE INTO root SELECT c.digest FROM child c JOIN manifest m ON m.id = c.manifest"
            " JOIN root r ON r.digest = m.digest"
        )
        while self._store.execute(query).rowcount > 0:
            pass
        return self._unknown()

    def _remember(self, digest: str, needs: Needs) -> None:
        made = self._store.execute("INSERT INTO manifest (digest) VALUES (?)", (digest,)).lastrowid
        self._store.executemany(
            "INSERT INTO found VALUES (?, ?)", ((entry.digest, made) for entry in needs.every)
        )
        self._store.executemany(
            "INSERT OR IGNORE INTO child VALUES (?, ?)", ((made, entry.digest) for entry in needs.children)
        )
        self._store.executemany(
            "INSERT OR IGNORE INTO elsewhere VALUES (?, ?)",
            ((entry.digest, made) for entry in needs.elsewhere),
        )

    def _forget_old(self) -> None:
        """Manifests that nothing refers to any more need nothing; without that the cache would only grow."""
        self._store.execute(
            "INSERT INTO gone SELECT id FROM manifest WHERE digest NOT IN (SELECT digest FROM root)"
        )
        if self._count("gone"):
            self._store.executescript(_FORGET)

    def _compare(self, listed: Iterable[Digest], is_stored: Callable[[str], bool]) -> None:
        known = SortedStream(listed, itemgetter(0))
        for digest, missing in self._needed():
            is_listed = known.at(digest) is not None
            if missing and is_listed:
                self._found.faults.add(f"the manifest {digest} is not there")
            elif not missing and not is_listed and not self.is_excused(digest):
                self._found.unlisted.add(digest)
                if not is_stored(digest):
                    self._found.lost.add(digest)

    def _needed(self) -> Iterator[tuple[str, bool]]:
        """Every digest that a manifest needs or that was to be read, and whether it is a missing manifest."""
        # By another algorithm nothing is stored or listed: the repository's link tells which blob that is,
        # and the drill follows it.
        needed = "SELECT DISTINCT digest, 0 FROM need WHERE digest LIKE 'sha256:%' ORDER BY digest"
        missing = "SELECT digest, 1 FROM bad WHERE missing ORDER BY digest"
        both = heapq.merge(self._store.execute(needed), self._store.execute(missing))
        for digest, found in groupby(both, key=itemgetter(0)):
            yield digest, any(flag for _, flag in found)

    def is_excused(self, digest: str) -> bool:
        """Whether it was excused as a child, and is nothing else."""
        query = "SELECT 1 FROM unserved WHERE digest = ?"
        return self._store.execute(query, (digest,)).fetchone() is not None and not self.needs_blob(digest)

    def _who(self, needed: str) -> str:
        query = "SELECT m.digest FROM need n JOIN manifest m ON m.id = n.manifest WHERE n.digest = ? LIMIT 1"
        return f"{needed}, which {self._store.execute(query, (needed,)).fetchone()[0]} needs"

    def _count(self, table: str) -> int:
        return int(self._store.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - ours

    def _open(self) -> sqlite3.Connection:
        try:
            return self._opened()
        except sqlite3.DatabaseError:
            # Only a cache: one that cannot be read is made again.
            self._path.unlink(missing_ok=True)
        with self._kept():
            return self._opened()

    def _opened(self) -> sqlite3.Connection:
        store = sqlite3.connect(self._path)
        try:
            for pragma in ("journal_mode = DELETE", "synchronous = OFF", "cache_size = -32000"):
                store.execute(f"PRAGMA {pragma}")
            version = store.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"version {version}")
            store.executescript(_TABLES)
            store.execute(f"PRAGMA user_version = {_VERSION}")
        except sqlite3.DatabaseError:
            with contextlib.suppress(sqlite3.Error):
                store.close()
            raise
        return store
