"""A configuration out of a point is data: what of it a restore goes by."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from drkit.actions.restore import bare
from drkit.errors import DatabaseUnreachable, RestoreDamaged
from drkit.tools.postgres.sessions import connect
from drkit.tools.postgres.targets import Target

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


@pytest.mark.parametrize("name", ["site", "blobs", "vault"])
def test_what_is_no_section_is_no_bug(name: str) -> None:
    with pytest.raises(RestoreDamaged, match=f'"{name}" in the configuration of the point'):
        bare.section({name: "x"}, name)


@pytest.mark.parametrize("databases", ["x", ["x"], {"name": "x"}])
def test_nor_are_databases_that_are_none(tmp_path: Path, databases: object) -> None:
    with pytest.raises(RestoreDamaged, match='"database" in the configuration of the point'):
        of_point(tmp_path, database=databases)


# Where drkit's state goes


def state(root: Path | None, said: str) -> Path:
    return bare.state_directory({"site": {"state": said}}, root)


@pytest.mark.parametrize(
    "said", ["/", "/root", "/etc", "/etc/cron.d", "/root/.ssh", "/var/lib", "/usr/bin", "var/lib/drkit"]
)
def test_nobody_may_pass_through_what_is_the_systems(said: str) -> None:
    with pytest.raises(RestoreDamaged, match="has drkit's state in"):
        state(None, said)


def test_what_has_something_else_in_it_is_not_swept(tmp_path: Path) -> None:
    precious = tmp_path / "service/runs/precious"
    precious.mkdir(parents=True)
    for root, said in ((None, str(tmp_path / "service")), (tmp_path, "/service")):
        with pytest.raises(RestoreDamaged, match="which is not drkit's here"):
            state(root, said)
    (tmp_path / "service/locks").mkdir()
    assert state(tmp_path, "/service") == tmp_path / "service"
    (tmp_path / "empty").mkdir()
    assert state(tmp_path, "/empty") == tmp_path / "empty"
    assert state(tmp_path, "/none") == tmp_path / "none"


def test_a_state_directory_does_not_leave_its_root(tmp_path: Path) -> None:
    with pytest.raises(RestoreDamaged, match="has drkit's state in"):
        state(tmp_path / "root", "/../outside")


# A server that the configuration names


@pytest.fixture
def asking() -> Iterator[tuple[Target, Future[bytes]]]:
    """A server that asks for the password in clear (protocol-message-formats), and what it gets to know."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        listening.settimeout(30)

        def serve() -> bytes:
            with listening.accept()[0] as session:
                session.settimeout(30)
                with session.makefile("rb") as file:
                    (length,) = struct.unpack("!I", file.read(4))
                    file.read(length - 4)
                    session.sendall(b"R" + struct.pack("!II", 8, 3))
                    return file.read(6)

        port = str(listening.getsockname()[1])
        settings = {"host": "127.0.0.1", "port": port, "user": "u", "dbname": "d", "sslmode": "disable"}
        yield Target({**settings, "gssencmode": "disable"}, "geheim"), pool.submit(serve)


def test_a_server_of_the_points_is_not_told_a_password(asking: tuple[Target, Future[bytes]]) -> None:
    where, got = asking
    with pytest.raises(DatabaseUnreachable) as caught, bare.no_clear_passwords(), connect(where):
        pass
    assert "server requested a cleartext password" in caught.value.message
    assert caught.value.hint.endswith("is refused, unless --database-dsn names it")
    assert got.result() == b""


def test_whoever_names_the_server_himself_tells_it(
    asking: tuple[Target, Future[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGREQUIREAUTH", "password")
    where, got = asking
    with pytest.raises(DatabaseUnreachable), bare.no_clear_passwords(), connect(where):
        pass
    assert got.result() == b"p" + struct.pack("!I", len("geheim") + 5) + b"g"
