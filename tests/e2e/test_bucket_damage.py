"""A bucket with faults in it, and a vault that somebody is at: told by name, and never spread."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import testenv
from testenv import Site, buckets, damage, dask_cluster
from testenv.buckets import Storage
from tests.e2e import bucketed
from tests.e2e.commands import Drkit


@pytest.fixture(scope="module")
def locking(
    bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path]
) -> Iterator[tuple[Drkit, Storage]]:
    """A drkit whose vault locks what comes into it for five days: retention keeps points for ever."""
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home(), lockable=True)
    drkit.change(lambda document: document["vault"].update(lock_for="5d"))
    drkit.change(lambda document: document.pop("retention", None))
    yield drkit, vault
    buckets.unmake(vault)


def test_what_is_locked_cannot_be_deleted_by_whoever_has_the_keys(locking: tuple[Drkit, Storage]) -> None:
    drkit, vault = locking
    told = [each["detail"] for each in drkit.ask("doctor")["findings"] if each["name"] == "vault's locks"]
    assert told == ["in governance mode, for at least 5 days after the last backup that needs a blob"]
    result = drkit.ask("backup")
    until = datetime.fromisoformat(result["bucket"]["locked_until"])
    assert until > datetime.now(UTC) + timedelta(days=5)

    blobs = [(key, version) for key, version, _ in buckets.versions(vault) if "/blobs/" in key]
    assert len(blobs) == result["bucket"]["copied"] > 50
    s3 = buckets.client(vault)
    for key, version in blobs[:5]:
        held = s3.head_object(Bucket=vault.bucket, Key=key, VersionId=version)
        assert held["ObjectLockMode"] == "GOVERNANCE"
        assert held["ObjectLockRetainUntilDate"] >= until
    answer = s3.delete_objects(
        Bucket=vault.bucket, Delete={"Objects": [{"Key": k, "VersionId": v} for k, v in blobs]}
    )
    assert len(answer["Errors"]) == len(blobs), "no version goes, whoever asks"


def test_locks_that_somebody_shortens_are_noticed_and_set_anew(locking: tuple[Drkit, Storage]) -> None:
    """In governance mode whoever has the right to may; the inventory does not know."""
    drkit, vault = locking
    if not drkit.sealed():
        drkit.ask("backup")
    s3, soon = buckets.client(vault), datetime.now(UTC) + timedelta(hours=1)
    blobs = [(key, version) for key, version, _ in buckets.versions(vault) if "/blobs/" in key]
    for key, version in blobs:
        s3.put_object_retention(
            Bucket=vault.bucket,
            Key=key,
            VersionId=version,
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": soon},
            BypassGovernanceRetention=True,
        )
    told = drkit.run("verify", "--json")
    assert (told.code, told.envelope["error"]["kind"]) == (7, "vault_damaged")
    assert "end earlier than they were set to" in told.envelope["error"]["message"]
    drkit.ask("backup")
    needed = datetime.now(UTC) + timedelta(days=5) - timedelta(hours=1)
    for key, version in blobs:
        held = s3.head_object(Bucket=vault.bucket, Key=key, VersionId=version)
        assert held["ObjectLockRetainUntilDate"] >= needed
    assert drkit.ask("verify")["vault"]["locks_short"] == 0


def test_what_is_hidden_or_written_over_in_the_vault_comes_back_all_the_same(
    locking: tuple[Drkit, Storage], bucket_site: Site
) -> None:
    """An intruder with the vault's own keys: the versions that the inventory names are still there."""
    drkit, vault = locking
    if not drkit.sealed():
        drkit.ask("backup")
    names = sorted(buckets.names(vault, "docker"))
    buckets.remove(vault, *names[::2])
    for name in names[1::2]:
        buckets.put(vault, name, b"encrypted; pay here")
    root = drkit.home / "root"
    (step,) = drkit.ask("restore", "latest", "--only", "blobs", "--yes", "--root", str(root))["steps"]
    found = {
        str(path.relative_to(step["target"])): path.read_bytes()
        for path in Path(step["target"]).rglob("data")
    }
    images = bucketed.images(bucket_site)
    assert found == {
        name: buckets.get(images, name) for name in buckets.names(images, "docker/registry/v2/blobs")
    }

    # And the next backup brings back what it misses, and says so.
    result = drkit.ask("backup")
    assert result["bucket"]["copied"] == len(names)
    assert any(f"overwritten {len(names)} blobs in the vault" in said for said in result["warnings"])
    assert drkit.ask("drill", "--level", "quick")["outcome"] == "passed"


def test_production_that_is_damaged(
    locking: tuple[Drkit, Storage], bucket_site: Site, new_home: Callable[[], Path]
) -> None:
    """A blob of wrong bytes is not spread, one that is gone is missed; both by name, and the rest is kept."""
    drkit, vault = locking
    site, images = bucket_site, bucketed.images(bucket_site)
    layers = [b"rot-1" * 20, b"rot-2" * 20, b"rot-3" * 20]
    digest = testenv.push_image(site, "library", "rotten", "v1", layers)
    flipped, gone, cut = damage.layers_of(site, digest)
    names = [damage.blob_name(each) for each in (flipped, gone, cut)]
    before = [buckets.get(images, name) for name in names]
    damage.flip_byte(site, flipped, at=30)
    damage.remove_blob(site, gone)
    damage.truncate_blob(site, cut)
    try:
        result = drkit.ask("backup")
        kept = buckets.names(vault, "docker")
        assert not kept.keys() & set(names)
        assert damage.blob_name(digest) in kept
        assert result["status"] == "sealed", "production is damaged, and the backup has all that it has"
        assert result["bucket"]["bad"] == 2
        assert sorted(result["bucket"]["bad_names"]) == sorted([flipped, cut])
        assert result["closure"]["missing"] == 3
        said = " / ".join(result["warnings"])
        assert all(each in said for each in (flipped, gone, cut)), said
        assert drkit.run("drill", "--json").code == 5
    finally:
        for name, content in zip(names, before, strict=True):
            buckets.put(images, name, content)
    result = drkit.ask("backup")
    assert (result["closure"]["missing"], result["bucket"]["bad"], result["bucket"]["copied"]) == (0, 0, 3)
    assert result["warnings"] == []


def test_a_blob_that_rots_in_a_vault_without_versions_is_copied_again(
    bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path]
) -> None:
    """A listing shows nothing of it: what verify finds is written down in the vault, for any machine."""
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home(), versioned=False)
    try:
        drkit.ask("backup")
        name = sorted(buckets.names(vault, "docker"))[3]
        content = buckets.get(vault, name)
        buckets.put(vault, name, bytes([content[0] ^ 1]) + content[1:])
        told = drkit.run("verify", "--read-data-subset", "100%", "--json")
        assert (told.code, told.envelope["error"]["kind"]) == (7, "vault_damaged")
        with dask_cluster.cluster(drkit.home / "dask") as cluster:
            cluster.worker("one")
            words = ["verify", "--read-data-subset", "100%", "--cluster", cluster.address, "--json"]
            spread = drkit.run(*words)
        assert spread.code == 7
        alone, shared = (each.envelope["result"]["vault"] for each in (told, spread))
        assert shared.pop("cluster")["workers"] == 1
        assert alone.pop("cluster") is None
        assert shared == alone
        refused = drkit.run(*words)
        assert (refused.code, refused.envelope["error"]["kind"]) == (7, "cluster_unreachable")
        assert refused.envelope["result"] is None
        refused = drkit.run("verify", "--cluster", "tcp://192.0.2.1:8786", "--json")
        assert (refused.code, refused.envelope["error"]["kind"]) == (2, "usage_error")
        assert "without TLS" in refused.envelope["error"]["message"]

        # Another machine has the configuration alone, and says so all the same.
        shutil.rmtree(drkit.state)
        told = drkit.run("status", "--json")
        assert told.code == 5
        said = " / ".join(told.envelope["result"]["problems"])
        assert "1 damaged blobs in the vault" in said

        result = drkit.ask("backup")
        assert result["bucket"]["copied"] == 1
        (warning,) = [each for each in result["warnings"] if "in the vault" in each]
        assert "found damaged in the vault were copied again from production" in warning
        assert name.split("/")[-2] in warning
        assert buckets.get(vault, name) == content
        assert drkit.ask("verify", "--read-data-subset", "100%")["vault"]["bad"] == 0
        assert "damaged" not in str(drkit.run("status", "--json").envelope["result"]["problems"])
    finally:
        buckets.unmake(vault)
