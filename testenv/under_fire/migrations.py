"""Schema changes, as golang-migrate makes them for Harbor: dirty, the change in one transaction, clean.

At every version the schema is known, so a dump can be asked whether it is of one moment. Some changes write a
table anew, and all of them lock somebody out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from testenv import database

if TYPE_CHECKING:
    from psycopg import Connection

ROWS = 200
_START = 170
_LOCK = 1_789_432_105  # any number: golang-migrate derives one from the database's name

_STEPS = (
    f"""
    CREATE TABLE under_fire (id serial PRIMARY KEY, n integer NOT NULL, note text NOT NULL);
    INSERT INTO under_fire (n, note) SELECT g, 'row ' || g FROM generate_series(1, {ROWS}) g;
    """,
    "ALTER TABLE artifact ADD COLUMN under_fire varchar(64) NOT NULL DEFAULT 'as before';",
    # Both write their table anew: an older snapshot that comes too late would see it empty.
    """
    ALTER TABLE under_fire ALTER COLUMN n TYPE bigint;
    ALTER TABLE blob ADD COLUMN under_fire uuid NOT NULL DEFAULT gen_random_uuid();
    """,
    """
    ALTER TABLE blob DROP COLUMN under_fire;
    ALTER TABLE artifact DROP COLUMN under_fire;
    DROP TABLE under_fire;
    """,
)

# For each version modulo four: under_fire.n, artifact.under_fire, blob.under_fire
_SHAPES: tuple[tuple[str | None, str | None, str | None], ...] = (
    (None, None, None),
    ("integer", None, None),
    ("integer", "character varying", None),
    ("bigint", "character varying", "uuid"),
)


def version(connection: Connection) -> tuple[int, bool]:
    """The schema's version, and whether its migration is not done yet."""
    ((number, dirty),) = connection.execute("SELECT version, dirty FROM schema_migrations").fetchall()
    return number, dirty


def migrate(connection: Connection, *, hold: float, patience: str) -> int:
    """Go to the next version, over an autocommit connection; returns that.

    The locks are held `hold` seconds longer than needed. `patience` is a lock_timeout: LockNotAvailable is
    raised where it runs out, and the schema is as before.
    """
    connection.execute("SELECT set_config('lock_timeout', %s, false)", (patience,))
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        before, dirty = version(connection)
        if not dirty:
            _set_version(connection, before + 1, dirty=True)
        target = before if dirty else before + 1
        if _shape(connection) == _shape_of(target):
            # An earlier attempt came as far as this, and could not write that it was done.
            _set_version(connection, target, dirty=False)
            return target
        with connection.transaction():
            connection.execute(f"SET LOCAL ROLE {database.OWNER}".encode())
            connection.execute(_STEPS[(target - 1 - _START) % len(_STEPS)].encode())
            connection.execute("SELECT pg_sleep(%s)", (hold,))
        _set_version(connection, target, dirty=False)
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
    return target


def wrong_schema(connection: Connection) -> list[str]:
    """How the schema differs from what its version says."""
    number, dirty = version(connection)
    expected = [_shape_of(number), *([_shape_of(number - 1)] if dirty else [])]
    found = _shape(connection)
    if found not in expected:
        return [f"schema {number}{' (dirty)' if dirty else ''} has {found}, expected {expected}"]
    if found[0] is None:
        return []
    row = connection.execute("SELECT count(*), sum(n) FROM under_fire").fetchone()
    wanted = (ROWS, ROWS * (ROWS + 1) // 2)
    return [] if row == wanted else [f"table under_fire has {row}, expected {wanted}"]


def _set_version(connection: Connection, number: int, *, dirty: bool) -> None:
    with connection.transaction():
        connection.execute("TRUNCATE schema_migrations")
        connection.execute("INSERT INTO schema_migrations VALUES (%s, %s)", (number, dirty))


def _shape_of(number: int) -> tuple[str | None, ...]:
    return _SHAPES[(number - _START) % len(_STEPS)]


def _shape(connection: Connection) -> tuple[str | None, ...]:
    found: dict[str, str] = dict(
        connection.execute(
            "SELECT table_name || '.' || column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'public'"
        ).fetchall()
    )
    return tuple(found.get(name) for name in ("under_fire.n", "artifact.under_fire", "blob.under_fire"))
