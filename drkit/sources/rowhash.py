"""The hash of a row, as an SQL expression: the same on PostgreSQL 12 to 18, under any settings and any order.

Every column's value is hashed on its own, its position being part of the hash, and these are mixed once
more: so neither two columns of a row nor two rows can trade a value unseen. All functions are those of hash
partitioning, whose results PostgreSQL can never change (they decide which partition holds a row on disk).
Where a type's own hash is one for different values (1.0 and 1.00 of numeric, 0 and -0 of float8) or folds a
value to half its bits (timestamp), the value's text is hashed; drkit's sessions fix every setting that texts
depend on.

Hashing columns rather than the text of the whole row takes a third of the processor time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drkit.tools import postgres
from drkit.tools.postgres import Part, Session

_COLUMNS = """
SELECT a.attname, CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname ELSE '' END
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum"""

# Types whose values a function takes whole. `{c}` is the column, `{n}` its position.
WHOLE = {
    "int2": "hashint4extended({c}, {n})",
    "int4": "hashint4extended({c}, {n})",
    "bool": "hashint4extended({c}::int4, {n})",
    # As the seed, since hashint8extended folds a value to half its bits.
    "int8": "hashint4extended({n}::int4, {c})",
    "text": 'hashtextextended({c} COLLATE "C", {n})',
    "varchar": 'hashtextextended({c} COLLATE "C", {n})',
    "uuid": "uuid_hash_extended({c}, {n})",
}
BY_TEXT = 'hashtextextended({c}::text COLLATE "C", {n})'
# Any number that is another for every position: NULL is a value of its own.
NULL = 6_700_417


@dataclass(frozen=True)
class Column:
    """A column of a table and the name of its type, which is empty for one that PostgreSQL does not bring."""

    name: str
    type: str


def columns(session: Session, schema: str, table: str) -> tuple[Column, ...]:
    """The columns of a table, in order; those that were dropped leave no gap, as in a restored table."""
    return tuple(Column(name, kind) for name, kind in session.rows(_COLUMNS, (schema, table)))


def expression(of: Sequence[Column]) -> Part:
    """The 64-bit hash of a row `r` with these columns."""
    if not of:
        return postgres.fragment("hashint4extended(1, 0)")
    hashes = [_column(column, number) for number, column in enumerate(of, 1)]
    # XOR, because a sum of bigints overflows; mixed again, because it would let two rows trade values.
    return postgres.compose("hashint4extended(1, {all})", all=postgres.joined(" # ", hashes))


def _column(column: Column, number: int) -> Part:
    name = postgres.identifier("r", column.name)
    value = postgres.compose(WHOLE.get(column.type, BY_TEXT), c=name, n=postgres.literal(number))
    return postgres.compose("coalesce({value}, {null})", value=value, null=postgres.literal(number * NULL))
