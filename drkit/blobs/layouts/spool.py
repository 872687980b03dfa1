"""What the layouts of a directory have, and what they need: on disk, so that memory stays flat.

No database says which images there must be: each repository's index.json does, and the manifests that it
names. Whatever a manifest needs has to be among the blobs of the same repository.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from drkit.errors import ToolFailed
from drkit.registry import image_list, image_manifests
from drkit.registry.image_list import Listed
from drkit.registry.layouts import Named
from drkit.tools.scratch import scratch_database
from drkit.tools.tally import Tally

_BATCH = 10_000
Role = Literal["manifest", "child", "blob"]
# The bytes of a repository's manifest, or None where they are not there.
Read = Callable[[str, str], bytes | None]


class Gap(NamedTuple):
    """A blob that is needed and not there, or has another size than `size` (`stored` is what it has).

    `role` is what it is needed as: a manifest that an index.json names, a child of the index `by`, or a blob.
    """

    repository: str
    digest: str
    role: Role
    by: str
    size: int | None
    stored: int | None

    @property
    def label(self) -> str:
        """For a person."""
        return f"{self.repository}@{self.digest}"


class LayoutSpool:
    """Filled by `add_present` and `add_index`, then by `walk`; a new file at `path`."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        self._store = scratch_database(path)
        self.faults = Tally[str]()
        self.manifests = 0
        both = "repository TEXT, digest TEXT"
        key = "PRIMARY KEY (repository, digest)) WITHOUT ROWID"
        self._store.execute(f"CREATE TABLE present ({both}, size INT, {key}")
        self._store.execute(f"CREATE TABLE need ({both}, role TEXT, by TEXT, size INT, seen INT, {key}")
        self._store.execute(
            "CREATE INDEX todo ON need (repository, digest) WHERE role != 'blob' AND NOT seen"
        )
        self._store.execute(f"CREATE TABLE tag ({both}, name TEXT)")
        self._store.execute(f"CREATE TABLE subject ({both}, of TEXT, {key}")

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()

    def add_present(self, blobs: Iterable[tuple[str, str, int]]) -> None:
        """Add (repository, digest, size) of blobs that are there."""
        self._store.executemany("INSERT OR REPLACE INTO present VALUES (?, ?, ?)", blobs)

    def add_index(self, repository: str, entries: Iterable[Named]) -> None:
        """Add what the index.json of a repository names."""
        for entry in entries:
            self._need(repository, entry.digest, "manifest", "", entry.size)
            self._store.execute("INSERT INTO tag VALUES (?, ?, ?)", (repository, entry.digest, entry.tag))

    def _need(self, repository: str, digest: str, role: Role, by: str, size: int) -> None:
        """Whoever asks first is remembered; what an index.json names stays that."""
        known = None if size < 0 else size
        row = (repository, digest, role, by, known)
        self._store.execute("INSERT OR IGNORE INTO need VALUES (?, ?, ?, ?, ?, 0)", row)
        if role == "child":
            # A manifest may have been needed as a blob before.
            self._store.execute(
                "UPDATE need SET role = ?, by = ? WHERE repository = ? AND digest = ? AND role = 'blob'",
                (role, by, repository, digest),
            )

    def walk(self, read: Read) -> None:
        """Read every manifest that is there, and note what it needs; what cannot be one is a fault."""
        query = (
            "SELECT repository, digest FROM need JOIN present USING (repository, digest)"
            " WHERE role != 'blob' AND NOT seen LIMIT ?"
        )
        while batch := self._store.execute(query, (_BATCH,)).fetchall():
            for repository, digest in batch:
                self._store.execute(
                    "UPDATE need SET seen = 1 WHERE repository = ? AND digest = ?", (repository, digest)
                )
                self._look(repository, digest, read(repository, digest))

    def _look(self, repository: str, digest: str, data: bytes | None) -> None:
        if data is None:
            return
        self.manifests += 1
        try:
            needs = image_manifests.needs(digest, data)
        except ToolFailed as error:
            self.faults.add(f"{repository}: {error.message}")
            return
        for child in needs.children:
            self._need(repository, child.digest, "child", digest, child.size)
        for blob in needs.blobs:
            self._need(repository, blob.digest, "blob", digest, blob.size)
        if of := _subject(data):
            self._store.execute("INSERT OR REPLACE INTO subject VALUES (?, ?, ?)", (repository, digest, of))

    def gaps(self) -> Iterator[Gap]:
        """All that is needed and not there at its size, sorted."""
        rows = self._store.execute(
            "SELECT need.repository, need.digest, role, by, need.size, present.size"
            " FROM need LEFT JOIN present USING (repository, digest)"
            " WHERE present.size IS NULL OR need.size != present.size ORDER BY 1, 2"
        )
        return (Gap(*row) for row in rows)

    def spare(self) -> Iterator[tuple[str, str, int]]:
        """(repository, digest, size) of blobs that nothing needs, sorted."""
        return self._store.execute(
            "SELECT repository, digest, size FROM present"
            " WHERE NOT EXISTS (SELECT 1 FROM need WHERE need.repository = present.repository"
            " AND need.digest = present.digest) ORDER BY 1, 2"
        )

    @property
    def needed(self) -> int:
        """How many blobs are needed, one of each repository."""
        return int(self._store.execute("SELECT count(*) FROM need").fetchone()[0])

    def digests(self, left_out: Iterable[Gap]) -> Iterator[tuple[str, int | None]]:
        """Every digest that is needed with its size, sorted, each once; but for those of `left_out`."""
        self._store.execute("CREATE TEMP TABLE out (repository TEXT, digest TEXT)")
        rows = ((gap.repository, gap.digest) for gap in left_out)
        self._store.executemany("INSERT INTO out VALUES (?, ?)", rows)
        return self._store.execute(
            "SELECT digest, max(size) FROM need"
            " WHERE (repository, digest) NOT IN (SELECT repository, digest FROM out)"
            " GROUP BY digest ORDER BY digest"
        )

    def images(self) -> Iterator[Listed]:
        """Every manifest under each of its tags, or without any, sorted as a list of images is."""
        rows = self._store.execute(
            "SELECT repository, name, digest, of FROM tag LEFT JOIN subject USING (repository, digest)"
            " ORDER BY repository, name, digest"
        )
        for repository, name, digest, of in rows:
            if of:
                yield Listed(repository, name, digest, None, "accessory", of)
            else:
                yield image_list.by_tag(repository, name, digest)

    def tags(self) -> Iterator[tuple[str, str, str]]:
        """(repository, tag, digest) of every tag, sorted."""
        return self._store.execute(
            "SELECT repository, name, digest FROM tag WHERE name != '' ORDER BY 1, 2, 3"
        )


def _subject(data: bytes) -> str:
    """The digest of what a manifest is about, if it is about another."""
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(data)["subject"]["digest"])
    return ""
