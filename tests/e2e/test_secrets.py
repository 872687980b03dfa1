"""No secret in arguments, environments, outputs, logs, reports, or files that others may read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import Connection

from testenv import Site
from tests.e2e.commands import Drkit, clone
from tests.e2e.conftest import Drilled
from tests.e2e.watching import Secrets, Watch, Watcher

# The first test lives through the whole story: seven commands under watch.
pytestmark = pytest.mark.timeout(900)

_NAME = "watched"
# Harbor itself keeps these in the clear in its database, and so they are in a dump.
IN_A_DUMP = ("scanner credential", "webhook token")


@dataclass(frozen=True)
class Seen:
    """What was to be seen of each verb, and where it left files."""

    drkit: Drkit
    secrets: Secrets
    scratch: Path
    report: Path
    restored: Path
    watches: dict[str, Watch]


@pytest.fixture(scope="module")
def seen(drilled: Drilled, site: Site, server: Connection, new_home: Callable[[], Path]) -> Iterator[Seen]:
    drkit = clone(drilled.drkit, new_home())
    watcher = Watcher(drkit, new_home())
    report, restored = drkit.home / "report", new_home()
    where = f"host=127.0.0.1 port={site.database_port} user=postgres dbname={_NAME}"
    target = ("--root", str(restored), "--database-dsn", where)
    watches = {
        "backup": watcher.run("backup"),
        "drill": watcher.run("drill", "--report", str(report)),
        "quick drill": watcher.run("drill", "--level", "quick", "--json"),
        "restore": watcher.run("restore", "latest", "--yes", *target),
        "restore again": watcher.run("restore", "latest", "--yes", *target),
        "doctor": watcher.run("doctor", "--json"),
        "show": watcher.run("show", "latest", "--json"),
    }
    yield Seen(drkit, all_secrets(drkit, site), watcher.scratch, report, restored, watches)
    server.execute(f"DROP DATABASE IF EXISTS {_NAME} WITH (FORCE)".encode())
    shutil.rmtree(drkit.home)


def all_secrets(drkit: Drkit, site: Site) -> Secrets:
    """What the registry keeps secret, and what drkit keeps secret on its own account."""
    (identity,) = (line for line in drkit.identity.read_text().splitlines() if not line.startswith("#"))
    own = {
        "restic password": drkit.restic_password.read_text().strip(),
        "age identity": identity,
        "fingerprint key": fingerprint_key(drkit).read_text().strip(),
    }
    return Secrets({**site.planted, **own})


def fingerprint_key(drkit: Drkit) -> Path:
    return drkit.state / "fingerprint.key"


def test_everything_ran_and_was_watched(seen: Seen) -> None:
    codes = {verb: watch.ended.code for verb, watch in seen.watches.items()}
    assert codes == {verb: 2 if verb == "restore again" else 0 for verb in codes}
    assert {"restic", "env", "pg_dump"} <= seen.watches["backup"].programs
    assert {"restic", "setpriv", "postgres", "docker-registry"} <= seen.watches["drill"].programs
    assert b"/bin/cosign" in b"\n".join(seen.watches["drill"].words)
    assert b"/bin/pg_restore" in b"\n".join(seen.watches["restore"].words)
    assert "registry.dump" in {path.name for path in seen.watches["drill"].names}
    assert len(seen.secrets.values) > 50


def test_the_search_finds_what_is_there(seen: Seen, site: Site) -> None:
    found = seen.secrets.in_files([seen.drkit.home, seen.restored])
    assert "database password" in found[str(seen.drkit.home / "database.password")]
    assert "secret key" in found[f"{seen.restored}{site.data}/secret/keys/secretkey"]
    assert found[str(seen.drkit.restic_password)] == ["restic password"]
    assert found[str(seen.drkit.identity)] == ["age identity"]
    assert found[str(fingerprint_key(seen.drkit))] == ["fingerprint key"]
    assert "cosign password" in seen.secrets.values, "a drill opens cosign's key with it"


def test_no_secret_in_arguments_or_environments(seen: Seen) -> None:
    for verb, watch in seen.watches.items():
        for words in watch.words:
            assert seen.secrets.within(words) == [], (verb, words)


def test_no_secret_is_said(seen: Seen) -> None:
    for verb, watch in seen.watches.items():
        assert seen.secrets.within((watch.ended.stdout + watch.ended.stderr).encode()) == [], verb
        assert " run " in watch.ended.stderr, "--verbose tells of every command"


def test_no_secret_in_a_file_but_those_that_are_meant_to_hold_it(seen: Seen) -> None:
    home = seen.drkit.home
    meant = [home / "database.password", seen.drkit.restic_password, seen.drkit.identity]
    meant.append(fingerprint_key(seen.drkit))
    assert seen.secrets.in_files([home, seen.scratch], except_for=meant) == {}
    assert seen.report.joinpath("report.html").is_file(), "the report was among what was searched"
    assert list(seen.scratch.iterdir()) == [], "nothing stays in the temporary directory"


def test_no_secret_in_a_file_that_others_may_read_meanwhile(seen: Seen) -> None:
    for verb, watch in seen.watches.items():
        for path, data in watch.open_files.items():
            assert seen.secrets.within(data) == [], (verb, path)


def test_the_bundle_is_never_on_disk_in_the_clear(seen: Seen) -> None:
    """Not even where nobody else may look; what is in the database is in its dump, and there alone."""
    for verb, watch in seen.watches.items():
        for path, data in watch.private_files.items():
            secrets = seen.secrets.but(*IN_A_DUMP) if path.name == "registry.dump" else seen.secrets
            assert secrets.within(data) == [], (verb, path)


@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_the_file_to_log_in_with_is_private_and_goes(seen: Seen, verb: str) -> None:
    files = seen.watches[verb].login_files
    assert files, "a program was told of one"
    assert set(files.values()) == {(0o600, 0o700)}
    assert not any(path.exists() for path in files)
