"""Which projects' links name which blob, and which repository has which manifest and layer: read back sorted.

Rows are added as they come and sorted once, by merging: with an index that is kept in order, twenty million
of them would take hours.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from drkit.registry.link_tree import LinkFile, project_in
from drkit.tools.scratch import scratch_database

_BATCH = 50_000
_START = len("sha256:")
Linked = tuple[str, tuple[str, ...]]


class LinkIndex:
    """Takes links in any order; those of a project come mostly together."""

    def __init__(self, path: Path) -> None:
        self._store = scratch_database(path)
        # What is sorted does not stay in memory.
        self._store.execute("PRAGMA temp_store = FILE")
        self._store.execute("CREATE TABLE link (digest BLOB, project INTEGER)")
        self._store.execute("CREATE TABLE revision (repository TEXT, digest TEXT)")
        self._store.execute("CREATE TABLE layer (repository INTEGER, digest BLOB)")
        self._store.execute("CREATE TABLE repository (id INTEGER PRIMARY KEY, name TEXT)")
        self._projects: dict[str, int] = {}
        self._repositories: dict[str, int] = {}
        self._links: list[tuple[bytes, int]] = []
        self._revisions: list[tuple[str, str]] = []
        self._layers: list[tuple[int, bytes]] = []

    def add(self, file: LinkFile, digest: str) -> None:
        """A link, and the SHA-256 digest of the blob that it leads to."""
        _path, repository, kind, named, _tag, _size = file
        leads_to = bytes.fromhex(digest[_START:])
        project = self._projects.setdefault(project_in(repository), len(self._projects))
        self._links.append((leads_to, project))
        if kind == "revision":
            self._revisions.append((repository, digest))
        elif named.startswith("sha256:"):
            where = self._repositories.setdefault(repository, len(self._repositories))
            self._layers.append((where, leads_to if named == digest else bytes.fromhex(named[_START:])))
        if len(self._links) >= _BATCH:
            self._flush()

    def named(self) -> Iterator[Linked]:
        """(digest, the projects that link it), sorted by digest."""
        self._flush()
        names = {number: name for name, number in self._projects.items()}
        rows = self._store.execute("SELECT DISTINCT digest, project FROM link ORDER BY digest, project")
        for digest, found in groupby(rows, key=itemgetter(0)):
            yield f"sha256:{digest.hex()}", tuple(names[number] for _, number in found)

    def revisions(self) -> Iterator[tuple[str, str]]:
        """(repository, digest) of every manifest that is linked, sorted, each once."""
        self._flush()
        yield from self._store.execute("SELECT DISTINCT repository, digest FROM revision ORDER BY 1, 2")

    def layers(self) -> Iterator[tuple[str, str]]:
        """(repository, digest) of every layer that is linked by its SHA-256, sorted."""
        self._flush()
        names = ((number, name) for name, number in self._repositories.items())
        self._store.executemany("INSERT OR IGNORE INTO repository VALUES (?, ?)", names)
        query = "SELECT r.name, l.digest FROM layer l JOIN repository r ON r.id = l.repository ORDER BY 1, 2"
        for repository, digest in self._store.execute(query):
            yield repository, f"sha256:{digest.hex()}"

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    def _flush(self) -> None:
        self._store.executemany("INSERT INTO link VALUES (?, ?)", self._links)
        self._store.executemany("INSERT INTO revision VALUES (?, ?)", self._revisions)
        self._store.executemany("INSERT INTO layer VALUES (?, ?)", self._layers)
        self._links.clear()
        self._layers.clear()
        self._revisions.clear()
