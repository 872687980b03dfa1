"""Values as COPY writes them, and tables as pg_restore writes them, by a program that does as it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit.database import dumped
from drkit.errors import ToolFailed
from drkit.tools.postgres.programs import Programs

SCRIPT = r"""
-- a comment
COPY public.artifact (id, "type", digest) FROM stdin;
1	IMAGE	a\\b\tc\nd
2	\N	\\N
\.

COPY public.tag (id, name) FROM stdin;
\.
"""


def programs(directory: Path, code: int) -> Programs:
    (directory / "script").write_text(SCRIPT)
    path = directory / "pg_restore"
    path.write_text(f"#!/bin/sh\ncat {directory}/script; echo 'pg_restore: error: cut' >&2; exit {code}\n")
    path.chmod(0o755)
    return Programs(15, directory)


def test_rows_by_column(tmp_path: Path) -> None:
    found = {table.table: list(table.rows) for table in dumped.tables(programs(tmp_path, 0), tmp_path, ["x"])}
    assert found == {
        "public.artifact": [
            {"id": "1", "type": "IMAGE", "digest": "a\\b\tc\nd"},
            {"id": "2", "type": None, "digest": "\\N"},
        ],
        "public.tag": [],
    }


def test_rows_that_nobody_reads_are_passed_over(tmp_path: Path) -> None:
    assert [t.table for t in dumped.tables(programs(tmp_path, 0), tmp_path, ["x"])] == [
        "public.artifact",
        "public.tag",
    ]


def test_a_dump_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="cut"):
        list(dumped.tables(programs(tmp_path, 1), tmp_path, ["x"]))
