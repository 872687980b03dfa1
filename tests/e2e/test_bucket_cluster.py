"""The blobs of a registry's bucket by a cluster: into the vault, and back to wherever one likes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from testenv import Site, buckets, damage, dask_cluster
from testenv.buckets import Storage
from testenv.dask_cluster import Cluster
from tests.e2e import bucketed
from tests.e2e.commands import Drkit


@dataclass
class Spread:
    """A drkit whose first point workers have brought to its vault."""

    drkit: Drkit
    vault: Storage
    images: Storage
    cluster: Cluster
    backup: dict[str, Any]

    def ask(self, *words: str) -> Any:
        """The result of a command that the cluster has a part in."""
        return self.drkit.ask(*words, "--cluster", self.cluster.address)

    def inventory(self, point: str) -> list[dict[str, Any]]:
        """What a point's inventory lists."""
        parts = self.drkit.ask("show", point)["parts"]
        (part,) = (part for part in parts if part["kind"] == "inventory")
        lines = self.drkit.restic("dump", part["snapshot"], part["path"]).splitlines()
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def spread(bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path]) -> Iterator[Spread]:
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home())
    with dask_cluster.cluster(drkit.home / "dask") as cluster:
        cluster.worker("one", threads=2)
        backup = drkit.ask("backup", "--cluster", cluster.address)
        yield Spread(drkit, vault, bucketed.images(bucket_site), cluster, backup)
    buckets.unmake(vault)


def test_a_point_that_workers_made_is_as_one_that_is_made_here(spread: Spread) -> None:
    assert spread.backup["status"] == "sealed"
    assert spread.backup["cluster"]["workers"] == 1
    assert spread.backup["bucket"]["copied"] > 50
    there = buckets.contents(spread.vault, "docker")
    assert there == buckets.contents(spread.images, "docker/registry/v2/blobs")
    alone = spread.drkit.ask("backup", "--cluster", "local")
    assert (alone["cluster"], alone["bucket"]["copied"]) == (None, 0)
    assert spread.inventory(alone["id"]) == spread.inventory(spread.backup["id"])
    assert alone["closure"]["present"] == spread.backup["closure"]["present"]


def test_a_drill_of_it_is_green_whether_workers_bring_it_or_not(spread: Spread) -> None:
    point = spread.backup["id"]
    refused = spread.drkit.run("drill", point, "--cluster", spread.cluster.address, "--json")
    assert (refused.code, refused.envelope["error"]["kind"]) == (4, "config_error")
    assert "none of the directories of shared" in refused.envelope["error"]["message"]
    assert spread.drkit.ask("drill", point)["outcome"] == "passed"

    home = str(spread.drkit.home)
    spread.drkit.change(lambda document: document.update(cluster={"shared": [home]}))
    report = spread.ask("drill", point)
    assert report["outcome"] == "passed"
    assert [each for each in report["controls"] if not each["caught"]] == []
    said = " / ".join(each["detail"] for each in report["checks"])
    assert f"every byte hashed, by 1 worker of {spread.cluster.address}" in said


def test_it_comes_back_to_a_directory_and_to_a_bucket(spread: Spread) -> None:
    home, words = spread.drkit.home, ("restore", spread.backup["id"], "--only", "blobs", "--yes")
    spread.drkit.change(lambda document: document.update(cluster={"shared": [str(home)]}))
    back = spread.ask(*words, "--root", str(home / "back"))
    assert back["cluster"]["workers"] == 1
    wanted = buckets.contents(spread.images)
    (root,) = (path.parent for path in (home / "back").rglob("docker"))
    files = {str(path.relative_to(root)): path for path in root.rglob("*") if path.is_file()}
    assert files.keys() == wanted.keys()
    assert [path.name for path in root.iterdir()] == ["docker"]

    before = spread.drkit.config.read_text()
    with bucketed.new_bucket(spread.images) as other:
        bucketed.bucket_of_blobs(spread.drkit, other)
        assert spread.ask(*words)["cluster"]["workers"] == 1
        assert buckets.contents(other) == wanted
    spread.drkit.config.write_text(before)


def test_without_the_cluster_nothing_is_sealed(spread: Spread, bucket_site: Site) -> None:
    new, gone = damage.orphan_blob(bucket_site, b"new to the vault"), "tcp://127.0.0.1:9"
    before = spread.drkit.sealed()
    ended = spread.drkit.run("backup", "--cluster", gone, "--json")
    damage.remove_blob(bucket_site, new)
    assert (ended.code, ended.envelope["error"]["kind"]) == (3, "backup_incomplete")
    assert f"no scheduler answers at {gone}" in ended.envelope["error"]["message"]
    assert spread.drkit.sealed() == before
    refused = spread.drkit.run("backup", "--cluster", "tcp://192.0.2.1:8786", "--json")
    assert (refused.code, refused.envelope["error"]["kind"]) == (2, "usage_error")


def test_a_registry_in_a_directory_has_nothing_to_spread(empty: Drkit) -> None:
    refused = empty.run("backup", "--cluster", "tcp://127.0.0.1:9", "--json")
    assert (refused.code, refused.envelope["error"]["kind"]) == (2, "usage_error")
    assert "reads no bucket" in refused.envelope["error"]["message"]
