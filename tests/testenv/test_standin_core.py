"""The stand-in for Harbor's core refuses what the real one refuses."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from drkit.harbor import secretkey
from drkit.tools import jwt
from testenv import processes, standin_core
from tests import needs
from tests.cluster import Cluster

KEY = b"naa4JtarA1Zsc3uY"


@pytest.fixture
def schema(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """A database with nothing but a schema's version, which core's environment leads to."""
    database = cluster.new_database()
    for name, value in {
        "HOST": database.settings["host"],
        "PORT": database.settings.get("port", "5432"),
        "USERNAME": database.settings["user"],
        "PASSWORD": "unused",
        "DATABASE": database.database,
    }.items():
        monkeypatch.setenv(f"POSTGRESQL_{name}", value)
    with psycopg.connect(database.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE schema_migrations (version bigint, dirty boolean)")
        connection.execute("INSERT INTO schema_migrations VALUES (170, false)")
        yield connection


def version(schema: psycopg.Connection) -> tuple[int, bool] | None:
    return schema.execute("SELECT version, dirty FROM schema_migrations").fetchone()


def test_its_own_schema_and_an_older_one(schema: psycopg.Connection) -> None:
    standin_core.migrate(170)
    assert version(schema) == (170, False)
    standin_core.migrate(190)
    assert version(schema) == (190, False)


def test_a_newer_schema(schema: psycopg.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        standin_core.migrate(160)
    assert "no migration found for version 170" in capsys.readouterr().out
    assert version(schema) == (170, False)


def test_a_dirty_schema(schema: psycopg.Connection, capsys: pytest.CaptureFixture[str]) -> None:
    schema.execute("UPDATE schema_migrations SET dirty = true")
    with pytest.raises(SystemExit):
        standin_core.migrate(170)
    assert "Dirty database version 170" in capsys.readouterr().out


def test_a_migration_that_fails(schema: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATION_FAILS", "1")
    with pytest.raises(SystemExit):
        standin_core.migrate(190)
    assert version(schema) == (190, True)


def test_a_secret_key_of_another_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key"
    monkeypatch.setenv("KEY_PATH", str(key))
    key.write_bytes(KEY)
    value = secretkey.encrypt("secret", KEY)
    assert standin_core.opened(value) == "secret"
    key.write_bytes(KEY[:-1])
    with pytest.raises(ValueError, match="key size"):
        standin_core.opened(value)


def test_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key there are none; with one it takes those that it has signed, for what they say."""
    path = tmp_path / "private_key.pem"
    monkeypatch.setenv("TOKEN_PRIVATE_KEY_PATH", str(path))
    who = standin_core.Who("")
    who.actions = frozenset({"pull"})

    def anybody(name: str) -> frozenset[str]:
        return frozenset({"pull"} if name == "library/open" else ())

    with pytest.raises(FileNotFoundError):
        standin_core.make_token(who, ["repository:library/app:pull,push"], anybody)
    path.write_bytes(jwt.new_key())
    token = standin_core.make_token(who, ["repository:library/app:pull,push"], anybody)
    assert jwt.signed_by(token, path.read_bytes())
    assert standin_core.token_allows(token, "library/app", "pull")
    assert not standin_core.token_allows(token, "library/app", "push")
    assert not standin_core.token_allows(token, "library/other", "pull")
    nobody = standin_core.make_token(
        standin_core.Who(""), ["repository:library/open:pull,push", "repository:library/app:pull"], anybody
    )
    assert standin_core.token_allows(nobody, "library/open", "pull")
    assert not standin_core.token_allows(nobody, "library/app", "pull")
    path.write_bytes(jwt.new_key())
    assert not standin_core.token_allows(token, "library/app", "pull")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """The address of a Redis of the test's own, which is empty."""
    needs.program("redis-check-rdb")
    program = tmp_path / "redis-server"
    program.symlink_to(shutil.which("redis-check-rdb") or "")
    port, log = next(iter(processes.free_ports())), tmp_path / "log"
    words: list[str | Path] = [
        program,
        "--port",
        str(port),
        "--save",
        "",
        "--bind",
        "127.0.0.1",
        "--dir",
        str(tmp_path),
    ]
    pid = processes.spawn(words, log=log, pid_file=tmp_path / "pid", cwd=tmp_path)
    try:
        processes.wait_until(lambda: "Ready to accept" in log.read_text(), pid=pid, log=log, seconds=60)
        yield f"redis://127.0.0.1:{port}"
    finally:
        processes.stop(lambda: [pid] if Path(f"/proc/{pid}").exists() else [], polite=signal.SIGTERM)


def test_a_stale_redis_and_a_poor_environment(
    redis: str,
    schema: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in standin_core.NEEDED:
        if not name.startswith("POSTGRESQL_"):
            monkeypatch.setenv(name, "x" * standin_core.LENGTHS.get(name, 5))
    for name in ("app.conf", "key"):
        (tmp_path / name).write_text("x")
    monkeypatch.setenv("KEY_PATH", str(tmp_path / "key"))
    monkeypatch.setenv("CONFIG_PATH", str(tmp_path / "app.conf"))
    monkeypatch.setenv("_REDIS_URL_CORE", redis)
    monkeypatch.setenv("HARBOR_SCHEMA", "170")
    standin_core.boot()
    assert standin_core.cache(1, "SET", "blobs::sha256:0", "stale") == "+OK"
    with pytest.raises(SystemExit):
        standin_core.boot()
    assert "Redis is stale: database 1 is not empty" in capsys.readouterr().out
    monkeypatch.delenv("CORE_SECRET")
    with pytest.raises(SystemExit):
        standin_core.boot()
    assert "CORE_SECRET is not set" in capsys.readouterr().out
