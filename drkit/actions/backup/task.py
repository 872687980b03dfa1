"""What an attempt at a recovery point does side by side; each may fail by itself."""

from __future__ import annotations

from typing import Literal, NamedTuple

TaskKind = Literal[
    "database", "roles", "evidence", "digests", "lists", "manifests", "blobs", "secrets", "repository"
]


class Task(NamedTuple):
    """One of them; `name` is the database's, where there may be several."""

    kind: TaskKind
    name: str = ""

    @property
    def of_databases(self) -> bool:
        """Whether it reads a database."""
        return self.kind in ("database", "roles", "evidence", "digests", "lists")

    def __str__(self) -> str:
        """For a person."""
        match self.kind:
            case "database":
                return f"database {self.name}"
            case "roles" | "evidence":
                return f"{self.kind} of {self.name}"
            case _:
                return self.kind
