"""Harbor's repositories and tags, from the rows of its tables in a dump."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from drkit.tools.scratch import scratch_database

TABLES = ("artifact", "tag")
_INTO = {
    "public.artifact": ("artifact", ("id", "repository_name", "digest")),
    "public.tag": ("tag", ("artifact_id", "name")),
}


class DumpedTags:
    """What the tables say, on disk, for there may be millions of rows; for one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._store = scratch_database(path, autocommit=True)
        self._store.execute(
            "CREATE TABLE artifact (id INTEGER PRIMARY KEY, repository_name TEXT, digest TEXT)"
        )
        self._store.execute("CREATE TABLE tag (artifact_id INTEGER, name TEXT)")

    def take(self, table: str, rows: Iterable[Mapping[str, str | None]]) -> None:
        """Take in the rows of one of the tables."""
        name, columns = _INTO[table]
        values = (tuple(row[column] for column in columns) for row in rows)
        places = ", ".join("?" for _ in columns)
        self._store.execute("BEGIN")
        self._store.executemany(f"INSERT INTO {name} VALUES ({places})", values)  # noqa: S608 - ours
        self._store.execute("COMMIT")

    def index(self) -> None:
        """Make ready for questions, once all rows are there."""
        self._store.execute("CREATE INDEX by_name ON artifact (repository_name)")
        self._store.execute("CREATE INDEX by_artifact ON tag (artifact_id, name)")

    def digest(self, repository: str, tag: str) -> str | None:
        """What a tag means, or None where there is none of that name."""
        query = (
            "SELECT digest FROM artifact JOIN tag ON artifact_id = id WHERE repository_name = ? AND name = ?"
        )
        return next(iter(self._ask(query, repository, tag)), None)

    def tags(self, repository: str, after: str, most: int) -> list[str]:
        """The tags of a repository whose names sort behind `after`, sorted, up to `most`."""
        query = (
            "SELECT name FROM artifact JOIN tag ON artifact_id = id WHERE repository_name = ? AND name > ?"
            " ORDER BY name LIMIT ?"
        )
        return self._ask(query, repository, after, most)

    def repositories(self, after: str, most: int) -> list[str]:
        """The repositories whose names sort behind `after`, sorted, up to `most`."""
        query = (
            "SELECT DISTINCT repository_name FROM artifact WHERE repository_name > ?"
            " ORDER BY repository_name LIMIT ?"
        )
        return self._ask(query, after, most)

    def _ask(self, query: str, *values: str | int) -> list[str]:
        return [str(value) for (value,) in self._store.execute(query, values)]

    def close(self) -> None:
        """Let go of the file."""
        self._store.close()
