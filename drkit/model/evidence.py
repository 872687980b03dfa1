"""What is known of a database: its shape, and what was in it at the moment of a backup."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True)
class TableEvidence:
    """What was in one table: its row count and an order-free hash of all rows (a decimal number).

    The hash is None for a table that was counted alone.
    """

    schema: str
    table: str
    rows: int
    hash: str | None

    @property
    def label(self) -> str:
        """The table's full name, for a person."""
        return f"{self.schema}.{self.table}"


@dataclass(frozen=True)
class SequenceEvidence:
    """Where a sequence stood when its database was held; None where it had never been used.

    Sequences stand outside of transactions, so that one may have gone on before it was dumped: it never
    comes back short of this.
    """

    schema: str
    sequence: str
    last_value: int | None
    increment: int
    cycle: bool


@dataclass(frozen=True)
class LargeObjects:
    """Large objects: how many, and an order-free hash of their content (None where it may not be read)."""

    objects: int
    hash: str | None


@dataclass(frozen=True)
class RelationEvidence:
    """How many rows of a table refer to something that is not there, although no foreign key forbids it.

    `torn` counts those that break something, `litter` those that Harbor itself leaves behind; `example` names
    one of the torn.
    """

    name: str
    rows: int
    torn: int
    litter: int
    example: str = ""


# Counts, and what else there is to tell of a subject, each by its name.
InventoryFacts = dict[str, int | str]


@dataclass(frozen=True)
class InventoryLine:
    """What an operator would miss first, told with numbers that a person recognises: `users`, `187 users`.

    The sentence is made of the facts, which a drill compares: another drkit may say the same otherwise.
    """

    name: str
    said: str
    facts: InventoryFacts


class SchemaFault(StrEnum):
    """What is wrong with `schema_migrations`, where golang-migrate notes down how far a schema has come."""

    # A migration broke off: Harbor's core refuses to start.
    DIRTY = "dirty"
    # Core would run every migration again, and fail at the first.
    MISSING = "missing"
    EMPTY = "empty"
    # A version that drkit does not know: what its checks look at may be elsewhere.
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Grant:
    """One privilege on the database itself; an empty `grantee` is PUBLIC."""

    grantee: str
    privilege: str
    grantable: bool


@dataclass(frozen=True)
class Setting:
    """One `ALTER DATABASE ... SET`, or one `ALTER ROLE ... IN DATABASE ... SET` where `role` is given."""

    name: str
    value: str
    role: str = ""


@dataclass(frozen=True)
class DatabaseShape:
    """What `CREATE DATABASE` needs to make a database as it was (pg_database, pg_db_role_setting)."""

    database: str
    owner: str
    encoding: str
    locale_provider: str
    collate: str
    ctype: str
    locale: str = ""
    collation_version: str = ""
    # ICU's own rules of a collation (PostgreSQL 16 and later).
    locale_rules: str = ""
    connection_limit: int = -1
    comment: str = ""
    default_acl: bool = True
    grants: tuple[Grant, ...] = ()
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True)
class RestoreNeeds:
    """What a server must have or allow, that this database can come back there.

    `owners` own something in it or have default privileges, `grantees` are named in its privileges; what
    stands in `superuser` only a superuser may make.
    """

    owners: tuple[str, ...] = ()
    grantees: tuple[str, ...] = ()
    superuser: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatabaseEvidence:
    """Facts about one database, gathered inside the very snapshot that was dumped.

    `consistent_at` is that snapshot's instant, `settings` are the server's that a restore may depend on,
    `tablespaces` those that tables or indexes stand in beside the database's own, `dumped_by` the major
    version of pg_dump (in older manifests nothing: the server's).
    """

    name: str
    shape: DatabaseShape
    server_version: int
    extensions: dict[str, str]
    tables: tuple[TableEvidence, ...]
    superuser: str = "postgres"
    harbor_schema: int | None = None
    schema_fault: SchemaFault | None = None
    role_passwords: bool = True
    sequences: tuple[SequenceEvidence, ...] = ()
    large_objects: LargeObjects | None = None
    settings: dict[str, str] = field(default_factory=dict)
    consistent_at: datetime | None = None
    dumped_by: int | None = None
    tablespaces: tuple[str, ...] = ()
    needs: RestoreNeeds = RestoreNeeds()
    # None: taken by a drkit that did not look, or from a database that is not Harbor's.
    relations: tuple[RelationEvidence, ...] | None = None
    inventory: tuple[InventoryLine, ...] | None = None

    @property
    def major(self) -> int:
        """The server's major version: 15 for 150012."""
        return self.server_version // 10_000

    @property
    def archive_major(self) -> int:
        """The oldest major version whose pg_restore reads the dump, and whose server takes what it says."""
        return max(self.major, self.dumped_by or 0)

    @property
    def rows(self) -> int:
        """Rows in all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def counted_only(self) -> tuple[TableEvidence, ...]:
        """The tables whose content nothing is known of but the number of rows."""
        return tuple(table for table in self.tables if table.hash is None)
