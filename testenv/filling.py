"""What everything that writes rows needs: a connection, a clock, chance, and the secrets to plant."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from testenv import crypto, keys

if TYPE_CHECKING:
    from random import Random

    from psycopg import Connection

# Text that a careless dump, restore or comparison trips over.
AWKWARD = (
    "plain",
    "Zoë O'Brien",
    'say "hello"; -- not a comment',
    "李雷 と 花子",
    "tab\there, newline\nthere, backslash \\ and \\N",
    "100 % {braces} $HOME",
    "שלום 👋🏽 e\u0301",
    "",
)


@dataclass(frozen=True)
class BucketRestore:
    """Passed to all that fills the database. `planted` collects every secret by name."""

    connection: Connection
    random: Random
    now: datetime.datetime
    secret_key: str
    planted: dict[str, str]

    def past(self, days: float) -> datetime.datetime:
        """A moment in the last so many days, with microseconds."""
        seconds = int(days * 86_400) * 1_000_000
        return self.now - datetime.timedelta(microseconds=self.random.randrange(1, seconds))

    def secret(self, name: str, length: int = 20) -> str:
        """A new secret, planted under this name."""
        value = keys.token(self.random, length)
        self.planted[name] = value
        return value

    def encrypted(self, plain: str) -> str:
        """As Harbor keeps what it must be able to read again."""
        return crypto.encrypt(plain, self.secret_key, self.random)

    def salted(self, plain: str, version: str = "sha256") -> tuple[str, str]:
        """As Harbor keeps passwords: the hash and its salt."""
        salt = keys.token(self.random, 32)
        return crypto.password_hash(plain, salt, version), salt

    def insert(self, table: str, key: str = "id", **columns: Any) -> int:
        """Insert one row; dictionaries and lists become JSON text. Returns the value of `key`."""
        values = [
            json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
            for value in columns.values()
        ]
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {}").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join([sql.Placeholder()] * len(values)),
            sql.Identifier(key),
        )
        row = self.connection.execute(statement, values).fetchone()
        assert row is not None
        return int(row[0])
