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

from drkit.tools.postgres import sql
from drkit.tools.postgres.sessions import Session
from drkit.tools.postgres.sql import Part

_COLUMNS = """
SELECT a.attname, CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname
  WHEN t.typbasetype = 'xml'::regtype THEN 'xml' ELSE '' END
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = to_regclass(format('%%I.%%I', %s::text, %s::text)) AND a.attnum > 0 AND NOT a.attisdropped
  AND a.attgenerated <> 'v'
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
    # As it is in a dump: without a declaration of XML 1.0, and one line feed less at its beginning each time
    # that it is dumped. A cast to text would show both.
    "xml": 'hashtextextended(ltrim(textin(xml_out({c})), chr(10)) COLLATE "C", {n})',
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
    """The columns of a table, in order; those that were dropped leave no gap, as in a restored table.

    Virtual ones (PostgreSQL 18) are in no dump, and may not even be readable.
    """
    return tuple(Column(name, kind) for name, kind in session.rows(_COLUMNS, (schema, table)))


def expression(of: Sequence[Column]) -> Part:
    """The 64-bit hash of a row `r` with these columns."""
    if not of:
        return sql.fragment("hashint4extended(1, 0)")
    hashes = [_column(column, number) for number, column in enumerate(of, 1)]
    # XOR, because a sum of bigints overflows; mixed again, because it would let two rows trade values.
    return sql.compose("hashint4extended(1, {all})", all=sql.joined(" # ", hashes))


def _column(column: Column, number: int) -> Part:
    name = sql.identifier("r", column.name)
    value = sql.compose(WHOLE.get(column.type, BY_TEXT), c=name, n=sql.literal(number))
    return sql.compose("coalesce({value}, {null})", value=value, null=sql.literal(number * NULL))
