"""Which digests the manifests need, remembered from backup to backup.

A manifest never changes under its digest, so each is read once: a night's work grows with what is new. The
memory is a cache below the state directory; without it everything is read again.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from drkit.errors import ToolFailed
from drkit.harbor.closure import Digest
from drkit.harbor.manifests import Needs
from drkit.model import ManifestProof
from drkit.tools.parallel import in_order

_NAMES = 20
_BATCH = 2_000
# Raised when the meaning of the tables changes: an older cache is thrown away.
_VERSION = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS manifest (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS need (digest TEXT, manifest INTEGER, PRIMARY KEY (digest, manifest)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS child (
    manifest INTEGER, digest TEXT, PRIMARY KEY (manifest, digest)
) WITHOUT ROWID;
"""
_PASSING = """
CREATE TEMPORARY TABLE root (digest TEXT PRIMARY KEY) WITHOUT ROWID;
-- Not kept: what is wrong today is looked at again tomorrow.
CREATE TEMPORARY TABLE bad (digest TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMPORARY TABLE found (digest TEXT, manifest INTEGER);
CREATE TEMPORARY TABLE gone (id INTEGER PRIMARY KEY);
"""
_FORGET = """
DELETE FROM need WHERE manifest IN (SELECT id FROM gone);
DELETE FROM child WHERE manifest IN (SELECT id FROM gone);
DELETE FROM manifest WHERE id IN (SELECT id FROM gone);
"""


@dataclass
class _Tally:
    manifests: int = 0
    read: int = 0
    faults: int = 0
    unlisted: int = 0
    fault_names: list[str] = field(default_factory=list)
    unlisted_names: list[str] = field(default_factory=list)

    def fault(self, sentence: str) -> None:
        self.faults += 1
        if len(self.fault_names) < _NAMES:
            self.fault_names.append(sentence)

    def proof(self) -> ManifestProof:
        return ManifestProof(
            self.manifests,
            self.read,
            self.faults,
            self.unlisted,
            tuple(self.fault_names),
            tuple(self.unlisted_names),
        )


class Memory:
    """What each manifest needs; use it as a context."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store = self._open()

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def prove(
        self,
        read: Callable[[str], Needs],
        roots: Iterable[Digest],
        listed: Iterable[Digest],
        *,
        readers: int = 1,
    ) -> ManifestProof:
        """Read what is new among the manifests `roots`, and compare all that they need with a sorted list.

        `read` is called from so many threads as `readers` says; what it raises ToolFailed for is a fault of
        that manifest.
        Raises ToolFailed where the cache cannot be written.
        """
        tally = _Tally()
        try:
            self._store.executescript(_PASSING)
            self._store.executemany("INSERT OR IGNORE INTO root VALUES (?)", ((name,) for name, _ in roots))
            self._read_new(read, readers, tally)
            self._forget_old()
            tally.manifests = self._count("root")
            self._compare(listed, tally)
            self._store.commit()
        except sqlite3.Error as error:
            raise ToolFailed(
                f"cannot keep what the manifests need in {self._path}: {error}", hint="remove that file"
            ) from None
        return tally.proof()

    def _read_new(self, read: Callable[[str], Needs], readers: int, tally: _Tally) -> None:
        """Read every manifest that is not known yet, the children of an index after it."""

        def look(digest: str) -> tuple[str, Needs | ToolFailed]:
            try:
                return digest, read(digest)
            except ToolFailed as error:
                return digest, error

        while new := self._unknown() or self._unknown_children():
            # Where they come from a bucket, what costs time is to wait for them.
            results = in_order(new, look, readers) if readers > 1 else map(look, new)
            for digest, found in results:
                tally.read += 1
                if isinstance(found, ToolFailed):
                    tally.fault(found.message)
                    self._store.execute("INSERT OR IGNORE INTO bad VALUES (?)", (digest,))
                else:
                    self._remember(digest, found)
        # Sorted first, so that the large table grows in its own order.
        self._store.execute("INSERT OR IGNORE INTO need SELECT digest, manifest FROM found ORDER BY 1, 2")

    def _unknown(self) -> list[str]:
        query = (
            "SELECT digest FROM root r WHERE NOT EXISTS (SELECT 1 FROM manifest m WHERE m.digest = r.digest)"
            " AND NOT EXISTS (SELECT 1 FROM bad b WHERE b.digest = r.digest) LIMIT ?"
        )
        return [digest for (digest,) in self._store.execute(query, (_BATCH,))]

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

    def _forget_old(self) -> None:
        """Manifests that nothing refers to any more need nothing; without that the cache would only grow."""
        self._store.execute(
            "INSERT INTO gone SELECT id FROM manifest WHERE digest NOT IN (SELECT digest FROM root)"
        )
        if self._count("gone"):
            self._store.executescript(_FORGET)

    def _compare(self, listed: Iterable[Digest], tally: _Tally) -> None:
        known = iter(listed)
        here = next(known, None)
        for needed in self._needed():
            while here is not None and here[0] < needed:
                here = next(known, None)
            if here is None or here[0] != needed:
                tally.unlisted += 1
                if len(tally.unlisted_names) < _NAMES:
                    tally.unlisted_names.append(self._who(needed))

    def _needed(self) -> Iterator[str]:
        for (digest,) in self._store.execute("SELECT DISTINCT digest FROM need ORDER BY digest"):
            yield digest

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
