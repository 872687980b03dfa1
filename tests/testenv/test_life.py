"""Sites come, stop, start and go, whatever happens to them meanwhile."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

import testenv
from testenv import cluster, content, plan, processes, registry, site, sizes, witness


def leftovers(root: Path) -> list[object]:
    """Processes, and directories of the cluster, that belong to a site."""
    private = cluster.private_directory(root)
    return [
        *registry.running(root),
        *cluster.running(root),
        *processes.inside("postgres", root / "postgres"),
        *processes.inside("postgres", private / "data"),
        *(path for path in (root, private) if path.exists()),
    ]


def test_stop_start_and_load_change_nothing(tmp_path: Path) -> None:
    made = testenv.create(tmp_path / "site", testenv.TINY)
    try:
        with testenv.connect(made) as connection:
            before = witness.tables(connection) | witness.roles(connection)
        testenv.stop(made)
        testenv.stop(made)
        assert not testenv.running(made)
        loaded = testenv.load(made.root)
        assert loaded == made
        testenv.start(loaded)
        testenv.start(loaded)
        assert testenv.running(loaded)
        with testenv.connect(loaded) as connection:
            assert witness.tables(connection) | witness.roles(connection) == before

        testenv.lose(made, "blobs")
        testenv.lose(made, "secrets")
        testenv.lose(made, "database")
        testenv.lose(made, "database")
        assert not made.blobs.exists()
        assert not made.harbor_yml.exists()
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            testenv.connect(made)
        with testenv.connect(made, "postgres") as server:
            assert list(witness.roles(server)) == ["role postgres"]
    finally:
        testenv.destroy(made.root)
    assert leftovers(made.root) == []
    testenv.destroy(made.root)


def test_destroy_after_a_kill(tmp_path: Path) -> None:
    made = testenv.create(tmp_path / "site", testenv.TINY)
    for pid in (*cluster.running(made.root), *registry.running(made.root)):
        os.kill(pid, signal.SIGKILL)
    testenv.destroy(made.root)
    assert leftovers(made.root) == []


def test_destroy_when_only_the_directory_is_gone(tmp_path: Path) -> None:
    made = testenv.create(tmp_path / "site", testenv.TINY)
    made.root.rename(tmp_path / "moved")
    testenv.destroy(made.root)
    assert leftovers(made.root) == []


def test_a_half_made_site_can_be_destroyed_but_not_loaded(tmp_path: Path) -> None:
    root = tmp_path / "site"
    root.mkdir()
    site.save(testenv.Site(root, 0, 0, "tiny", {}))
    with pytest.raises(testenv.NotASiteError, match="never finished"):
        testenv.load(root)
    testenv.destroy(root)
    assert leftovers(root) == []


def test_a_failed_creation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(psycopg.DataError):
        testenv.create(tmp_path / "site", replace(testenv.TINY, rows=10**30))
    assert leftovers(tmp_path / "site") == []


def test_a_directory_that_is_no_site_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    for refused in (testenv.destroy, testenv.load, lambda root: testenv.create(root, testenv.TINY)):
        with pytest.raises(testenv.NotASiteError):
            refused(tmp_path)
    assert (tmp_path / "precious").read_text() == "data"


def test_a_taken_port_is_told_apart(tmp_path: Path) -> None:
    made = testenv.create(tmp_path / "site", testenv.TINY)
    try:
        other = tmp_path / "other"
        for directory in (other / "run", other / "log"):
            directory.mkdir(parents=True)
        with pytest.raises(processes.PortTakenError):
            registry.start(other, other / "blobs", made.registry_port)
        cluster.create(other, "password")
        with pytest.raises(processes.PortTakenError):
            cluster.start(other, made.database_port, "password")
        cluster.destroy(other)
    finally:
        testenv.destroy(made.root)


def test_the_same_seed_gives_the_same_images() -> None:
    repositories = plan.repository_names(4, 6)
    first, second, other = (
        plan.make(repositories, tags=20, layers=30, blob_bytes=100_000, label=label) for label in "112"
    )
    assert first == second != other
    layers = [content.make_layer(item.layers[0].payload(), "x").digest for item in (first, second, other)]
    assert layers[0] == layers[1] != layers[2]


@pytest.mark.parametrize("size", sizes.PRESETS.values(), ids=lambda size: size.name)
def test_a_plan_is_as_large_as_asked(size: testenv.Size) -> None:
    repositories = plan.repository_names(size.projects, size.repositories)
    made = plan.make(repositories, tags=size.tags, layers=size.layers, blob_bytes=size.blob_bytes, label="1")
    tags = sum(len(entry.tags) for entry in made.entries)
    assert size.tags <= tags <= size.tags + 1
    assert len({place for image in made.images() for place in image.layers}) == size.layers
    assert abs(sum(layer.size for layer in made.layers) / size.blob_bytes - 1) < 0.01
    assert {name.split("/", 1)[0] for name in repositories} == set(plan.project_names(size.projects))


def test_sizes_between_the_presets() -> None:
    assert sizes.parse_bytes("2GB") == sizes.parse_bytes("2000 mb") == sizes.parse_bytes(2_000_000_000)
    assert testenv.Size.of(blobs="2GB", rows=2_000_000).tags == 600
    with pytest.raises(ValueError, match="not a size"):
        testenv.Size.of(blobs="much", rows=1)
