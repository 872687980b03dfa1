"""The tables that grow: audit log, jobs, scan results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg import Connection

_SQL = Path(__file__).with_name("bulk.sql")


def fill(connection: Connection, rows: int, seed: int, salt: str = "") -> None:
    """Make about so many rows, on top of those that are there; `salt` must differ from call to call."""
    connection.execute(
        "SELECT setseed(%s), set_config('fill.rows', %s, false), set_config('fill.salt', %s, false)",
        (seed % 1000 / 1000, str(max(0, rows)), salt),
    )
    # What is made here is consistent (the tests look): checking two million references takes its time.
    connection.execute("SET session_replication_role = replica")
    connection.execute(_SQL.read_bytes())
    connection.execute("SET session_replication_role = origin")
