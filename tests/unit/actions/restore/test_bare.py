"""A configuration out of a point is data: what of it a restore goes by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drkit.actions.restore import bare

MEMBERS = {"/etc/drkit/database.password": b"secret\n"}


def of_point(tmp_path: Path, **document: Any) -> dict[str, Any]:
    return bare.of_point(document, MEMBERS, tmp_path)


def test_a_file_that_is_in_the_point_is_used_and_private(tmp_path: Path) -> None:
    database = {"name": "registry", "dsn": "host=db", "password_file": "/etc/drkit/database.password"}
    (found,) = of_point(tmp_path, database=[database])["database"]
    written = Path(found["password_file"])
    assert (written.read_bytes(), written.parent, written.stat().st_mode & 0o777) == (
        b"secret\n",
        tmp_path,
        0o600,
    )


@pytest.mark.parametrize("key", ["password_file", "credentials_file", "ca_file"])
def test_a_file_of_this_machine_is_not(tmp_path: Path, key: str) -> None:
    """Its content would be sent to a server that whoever wrote the configuration chose."""
    there = tmp_path / "private"
    there.mkdir()
    precious = tmp_path / "precious"
    precious.write_text("x")
    section = {"kind": "s3", "bucket": "images", key: str(precious)}
    found = of_point(there, blobs=section, database=[{"name": "r", "dsn": "host=db", key: str(precious)}])
    assert found["blobs"] == {"kind": "s3", "bucket": "images"}
    assert found["database"] == [{"name": "r", "dsn": "host=db"}]
    assert list(there.iterdir()) == []


def test_a_connection_string_says_where_the_server_is_and_no_more(tmp_path: Path) -> None:
    dsn = "host=db port=5433 user=u dbname=d sslmode=require passfile=/root/x sslkey=/root/y service=z"
    (found,) = of_point(tmp_path, database=[{"name": "r", "dsn": dsn}])["database"]
    assert sorted(found["dsn"].split()) == ["dbname=d", "host=db", "port=5433", "sslmode=require", "user=u"]


def test_nothing_is_run_told_or_written_by_it(tmp_path: Path) -> None:
    """And where images were in a directory, the point says in which, which is looked at more closely."""
    document = {
        "restore": {"stop": "rm -rf /"},
        "notify": {"urls": ["json://evil"]},
        "metrics": {"textfile": "/etc/cron.d/x"},
        "blobs": {"kind": "filesystem", "path": "/etc"},
        "drill": {"database_image": "evil"},
    }
    assert of_point(tmp_path, **document) == {"database": []}
