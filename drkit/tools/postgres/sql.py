"""Parts of SQL statements, put together so that no name or value is ever taken for SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from drkit.errors import ToolFailed

Part = sql.Composable
Statement = sql.Composed


def identifier(*names: str) -> sql.Identifier:
    """A quoted, possibly qualified, SQL name."""
    return sql.Identifier(*names)


def literal(value: object) -> sql.Literal:
    """A quoted SQL value."""
    return sql.Literal(value)


def compose(template: LiteralString, **parts: sql.Composable) -> sql.Composed:
    """An SQL text with `{name}` replaced by composed parts."""
    return sql.SQL(template).format(**parts)


def joined(separator: LiteralString, parts: Sequence[sql.Composable]) -> sql.Composed:
    """Composed parts with a separator between them."""
    return sql.SQL(separator).join(parts)


def fragment(text: LiteralString) -> sql.SQL:
    """A piece of SQL that stands in drkit's own source."""
    return sql.SQL(text)


def trusted(text: str) -> sql.SQL:
    """A statement out of a dump that PostgreSQL's own programs wrote, to be run as it stands."""
    return sql.SQL(text)


def text(part: Part) -> str:
    """A composed SQL text as one statement for psql."""
    # psycopg ends no statement; psql needs that.
    return part.as_string(None) + ";"


def keyword(words: str) -> sql.SQL:
    """Words that the server itself told us (a privilege, a role option), checked to be mere letters."""
    if not re.fullmatch(r"[A-Z ]+", words):
        raise ToolFailed(f"unexpected SQL keyword {words!r}")
    return sql.SQL(words)
