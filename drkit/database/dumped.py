"""Rows of a dump, read without a server: pg_restore writes them as COPY does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from drkit.tools.postgres.programs import Programs
from drkit.tools.process import execute
from drkit.tools.process.command import Completed, failure

_COPY = re.compile(rb"COPY (\S+) \((.*)\) FROM stdin;\n")
_END = b"\\.\n"
_ESCAPED = re.compile(rb"\\(.)")
_LETTERS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


@dataclass(frozen=True)
class Rows:
    """A table of a dump: its name with its schema, and its rows, by column; None is NULL."""

    table: str
    rows: Iterator[dict[str, str | None]]


def tables(programs: Programs, dump: Path, names: Sequence[str]) -> Iterator[Rows]:
    """Tables of the schema `public`, in the dump's order; the rows of each must be read before the next.

    Raises ToolFailed where pg_restore cannot read the dump.
    """
    wanted = [word for name in names for word in ("--table", name)]
    command = programs.command(
        "pg_restore", ("--file=-", "--data-only", "--schema=public", *wanted, str(dump)), {}
    )

    def ended(done: Completed) -> None:
        if done.code != 0:
            raise failure(command, done)

    lines = execute.lines(command, ended=ended)
    for line in lines:
        if found := _COPY.fullmatch(line):
            columns = [name.strip().strip('"') for name in found[2].decode().split(",")]
            rows = _rows(lines, columns)
            yield Rows(found[1].decode(), rows)
            # What nobody wanted to read is passed over.
            for _row in rows:
                pass


def _rows(lines: Iterator[bytes], columns: Sequence[str]) -> Iterator[dict[str, str | None]]:
    for line in lines:
        if line == _END:
            return
        yield dict(zip(columns, map(_value, line[:-1].split(b"\t")), strict=True))


def _value(field: bytes) -> str | None:
    """A value as COPY writes it (PostgreSQL's documentation, "Text Format")."""
    if field == b"\\N":
        return None
    if b"\\" in field:
        field = _ESCAPED.sub(lambda found: _LETTERS.get(found[1], found[1]), field)
    return field.decode("utf-8", "replace")
