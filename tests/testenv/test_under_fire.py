"""The load is what it claims to be: core's order, a collector that spares what is in use, known schemas."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import psycopg
import pytest

import testenv
from testenv import damage
from testenv.under_fire import migrations
from testenv.under_fire.clients import PROJECTS, Client
from testenv.under_fire.collector import Collector
from testenv.under_fire.core import Core, RefusedError
from testenv.under_fire.judge import production
from testenv.under_fire.load import under_load
from testenv.under_fire.traffic import Traffic

REPOSITORY = f"{PROJECTS[0]}/app"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[testenv.Site]:
    made = testenv.create(tmp_path_factory.mktemp("busy") / "site", testenv.TINY)
    yield made
    testenv.destroy(made.root)


@pytest.fixture
def traffic(site: testenv.Site) -> Traffic:
    """With the projects made, and nobody there."""
    with under_load(site, collector=False, migrator=False) as load:
        return load.traffic


@pytest.fixture
def core(site: testenv.Site, traffic: Traffic) -> Iterator[Core]:
    with Core(site, traffic) as made:
        yield made


@pytest.fixture
def collector(site: testenv.Site, traffic: Traffic) -> Iterator[Collector]:
    with Collector(site, traffic, window=0.0) as made:
        yield made


def statuses(core: Core, digests: list[str]) -> list[str]:
    return [
        status
        for (status,) in core.connection.execute(
            "SELECT status FROM blob WHERE digest = ANY (%s)", (digests,)
        ).fetchall()
    ]


def delete(core: Core, digest: str) -> None:
    row = core.connection.execute("SELECT id FROM artifact WHERE digest = %s", (digest,)).fetchone()
    assert row is not None
    assert core.delete_artifact(row[0], PROJECTS[0]) == 1


def test_a_deleted_image_goes_when_it_is_collected(
    site: testenv.Site, core: Core, collector: Collector
) -> None:
    client = Client(core, Random(1), "one")
    image = client.build(REPOSITORY)
    client.push(image, "latest")
    own = [image.layers[-1].digest, image.manifest.digest]
    assert production(site) == []
    delete(core, image.manifest.digest)
    assert all(damage.blob_path(site, digest).exists() for digest in own), "the database alone has changed"
    assert collector.collect() >= len(own)
    assert not any(damage.blob_path(site, digest).exists() for digest in own)
    assert statuses(core, own) == []
    row = core.connection.execute(
        "SELECT e.status, t.status, e.end_time >= e.start_time FROM execution e"
        " JOIN task t ON t.execution_id = e.id ORDER BY e.id DESC LIMIT 1"
    ).fetchone()
    assert row == ("Success", "Success", True)
    client.push(image, "latest")
    assert production(site) == []


def test_what_somebody_asks_for_is_spared(site: testenv.Site, core: Core, traffic: Traffic) -> None:
    client = Client(core, Random(2), "two")
    image = client.build(REPOSITORY)
    client.push(image, "v1")
    delete(core, image.manifest.digest)
    layer = image.layers[-1].digest
    with Collector(site, traffic, window=0.0) as collector, traffic.push():
        assert core.has_blob(REPOSITORY, layer)
        collector.collect()
        assert damage.blob_path(site, layer).exists(), "a push is under way that has been told it is there"


def test_what_is_being_deleted_is_refused(core: Core) -> None:
    client = Client(core, Random(3), "three")
    image = client.build(REPOSITORY)
    client.push(image, "v2")
    layer = image.layers[-1]
    core.connection.execute("UPDATE blob SET status = 'deleting' WHERE digest = %s", (layer.digest,))
    assert not core.has_blob(REPOSITORY, layer.digest)
    with pytest.raises(RefusedError):
        client.push(image, "v2")
    core.connection.execute("UPDATE blob SET status = 'none' WHERE digest = %s", (layer.digest,))
    client.push(image, "v2")


def test_the_schema_of_each_version_is_known(site: testenv.Site) -> None:
    with testenv.connect(site) as connection:
        connection.autocommit = True
        before, _ = migrations.version(connection)
        for number in range(before + 1, before + 5):
            assert migrations.migrate(connection, hold=0.0, patience="0") == number
            assert migrations.wrong_schema(connection) == []
            connection.execute("UPDATE schema_migrations SET version = version + 1")
            assert migrations.wrong_schema(connection) != [], "a schema that its version does not have"
            connection.execute("UPDATE schema_migrations SET version = version - 1")


def test_a_migration_that_gets_no_lock_changes_nothing(site: testenv.Site) -> None:
    with testenv.connect(site) as connection, testenv.connect(site) as other:
        connection.autocommit = True
        migrations.migrate(connection, hold=0.0, patience="0")
        before, _ = migrations.version(connection)
        other.execute("LOCK TABLE artifact IN ACCESS SHARE MODE")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            migrations.migrate(connection, hold=0.0, patience="10ms")
        assert migrations.version(connection) == (before + 1, True)
        assert migrations.wrong_schema(connection) == []
        other.rollback()
        for number in range(before + 1, before + 4):
            assert migrations.migrate(connection, hold=0.0, patience="0") == number


@pytest.mark.parametrize("fault", ["blob", "link", "row"])
def test_the_judge_finds_what_is_wrong(site: testenv.Site, core: Core, fault: str) -> None:
    client = Client(core, Random(fault), fault)
    image = client.build(REPOSITORY)
    client.push(image, "v3")
    layer = image.layers[-1].digest
    match fault:
        case "blob":
            damage.remove_blob(site, layer)
            wanted = {
                f"missing: {layer} of artifact_blob",
                f"missing: {layer} of manifest {image.manifest.digest}",
            }
        case "link":
            damage.empty_link(site, REPOSITORY, layer)
            wanted = {f"link: {REPOSITORY}/_layers/{layer.replace(':', '/')} holds ''"}
        case _:
            core.connection.execute("DELETE FROM artifact_blob WHERE digest_blob = %s", (layer,))
            wanted = {f"rows and manifest differ: {image.manifest.digest}"}
    assert set(production(site)) == wanted
    delete(core, image.manifest.digest)
    core.connection.execute("DELETE FROM blob WHERE digest = %s", (layer,))


def test_everything_at_once_damages_nothing(site: testenv.Site) -> None:
    with under_load(site, 4) as load:
        load.backup_seconds = 0.2
        while not load.failed and load.traffic.counted("garbage collections") < 2:
            load.pause(0.1)
    assert production(site) == []
