"""Whether the database that harbor.yml names is one of the configuration's, found out from the servers."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drkit.actions.drift import servers
from drkit.harbor.installation import HarborDatabase
from drkit.tools.postgres import sessions
from drkit.tools.postgres.targets import Target
from drkit.tools.process import execute
from drkit.tools.process.command import Command
from tests.cluster import Cluster, private_cluster
from tests.contract.test_pooler import pooled

_REPLICATED = {"wal_level": "replica", "max_wal_senders": "4"}


@pytest.fixture(scope="module")
def origin() -> Iterator[Cluster]:
    with private_cluster(settings=_REPLICATED) as cluster:
        yield cluster


@contextlib.contextmanager
def copied(origin: Cluster, *options: str) -> Iterator[Cluster]:
    """A server on a copy of the origin's files; with `-R` a standby of it."""
    base = origin.new_directory("base")
    shutil.rmtree(base)
    words = (origin.programs.program("pg_basebackup"), "-D", str(base), "-c", "fast", *options)
    where = ("-h", str(origin.directory), "-U", "postgres")
    execute.check(Command((*words, *where), user=origin.user, directory=origin.directory))

    def prepare(data: Path) -> None:
        shutil.rmtree(data)
        shutil.move(base, data)

    with private_cluster(settings=_REPLICATED, prepare=prepare, standby=True) as cluster:
        yield cluster


def found_among(named: HarborDatabase, targets: list[Target]) -> tuple[bool, str]:
    return servers.found_among(named, [servers.Way(target) for target in targets])


def named(target: Target) -> HarborDatabase:
    """As harbor.yml would say it."""
    settings = target.settings
    port = int(settings.get("port", "5432"))
    return HarborDatabase(settings["host"], port, target.database, "postgres", None, "disable")


@pytest.mark.parametrize("mode", ["session", "transaction", "statement"])
def test_harbor_goes_through_a_pooler_and_drkit_does_not(origin: Cluster, mode: str) -> None:
    with pooled(origin, mode, "same") as pooler:
        assert found_among(named(pooler), [origin.target]) == (True, "")
        other = origin.new_database()
        assert found_among(named(pooler), [other]) == (False, "")
        assert found_among(named(pooler), [other, origin.target]) == (True, "")


def test_a_service_file_is_asked_as_well(
    origin: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = tmp_path / "services"
    services.write_text(f"[harbor]\nhost={origin.directory}\ndbname=postgres\nuser=postgres\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert found_among(named(origin.target), [Target({"service": "harbor"})]) == (True, "")


def test_a_standby_is_the_same_database(origin: Cluster) -> None:
    with copied(origin, "-R") as standby:
        assert found_among(named(origin.target), [standby.target]) == (True, "")


def test_a_copy_that_runs_on_its_own_is_another(origin: Cluster) -> None:
    """So does an old primary after a move by replication: it answers, and nobody writes to it any more."""
    with copied(origin) as copy:
        assert found_among(named(copy.target), [origin.target]) == (False, "")


def test_another_server(origin: Cluster) -> None:
    with private_cluster() as other:
        assert found_among(named(other.target), [origin.target]) == (False, "")


def test_who_cannot_be_asked_is_not_found_and_the_reason_told(origin: Cluster) -> None:
    nowhere = replace(named(origin.target), host="127.0.0.1", port=1)
    found, why = found_among(nowhere, [origin.target])
    assert not found
    assert why.startswith("cannot connect to postgres at 127.0.0.1:1: ")


def test_an_ordinary_user_may_ask(origin: Cluster) -> None:
    with sessions.connect(origin.target) as session:
        session.execute("CREATE ROLE harbor LOGIN")
    as_harbor = Target({**origin.target.settings, "user": "harbor"})
    assert sessions.identity(as_harbor, 5) == sessions.identity(origin.target, 5)
