"""What expire does in the vault: blobs that no point needs go, and nothing else ever does."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from testenv import Site, buckets, damage
from testenv.buckets import Storage
from testenv.s3_faults import Proxy, Request
from tests.e2e import bucketed
from tests.e2e.commands import Drkit, clone, wait_for

CONTENT = b"a blob that only the first point needs"
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
NAME = damage.blob_name(DIGEST)


def two_points(drkit: Drkit, site: Site) -> None:
    """The first has a blob that the second lacks."""
    images = bucketed.images(site)
    buckets.put(images, NAME, CONTENT)
    try:
        drkit.ask("backup")
    finally:
        buckets.remove(images, NAME)
    drkit.ask("backup")
    drkit.change(lambda document: document.update(retention={"keep_last": 1}))


@pytest.fixture(scope="module")
def made(
    bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path]
) -> Iterator[tuple[Drkit, Storage]]:
    """Two points in a vault that keeps versions."""
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home())
    two_points(drkit, bucket_site)
    yield drkit, vault
    buckets.unmake(vault)


def destroy(vault: Storage, name: str) -> None:
    """Delete all versions of an object."""
    key = vault.key(name)
    versions = [version for each, version, _ in buckets.versions(vault) if each == key]
    for version in versions:
        buckets.client(vault).delete_object(Bucket=vault.bucket, Key=key, VersionId=version)


def once(act: Callable[[], object]) -> Callable[[], None]:
    """Do that the first time alone, also where a second comes while the first is under way."""
    turn = threading.Semaphore(1)

    def at_first() -> None:
        if turn.acquire(blocking=False):
            act()

    return at_first


def blobs_of(vault: Storage) -> dict[str, int]:
    return buckets.names(vault, "docker/registry/v2/blobs")


def test_nothing_goes_while_anything_is_in_the_way(
    made: tuple[Drkit, Storage], new_home: Callable[[], Path]
) -> None:
    original, vault = made
    before = buckets.versions(vault)
    drkit = clone(original, new_home())
    result = drkit.ask("expire", "--dry-run")
    assert result["removed"] == 1
    assert (result["vault"]["blobs"], result["vault"]["bytes"]) == (1, len(CONTENT))
    shown = drkit.run("expire", "--dry-run").stdout
    assert f"1 blobs ({len(CONTENT)} B) would be removed from the vault {vault.where}" in shown
    assert buckets.versions(vault) == before

    # A copy of the doomed point in another repository needs its blobs all the same.
    other = drkit.home / "other"
    drkit.change(
        lambda document: document["repository"].append(
            {**document["repository"][0], "name": "other", "url": str(other)}
        )
    )
    left = drkit.ask("expire", "--dry-run", "--repository", "primary")["vault"]["left_alone"]
    assert "not every repository can be read" in left
    ended = drkit.run("expire", "--dry-run", "--json")
    assert (ended.code, ended.envelope["result"]["vault"]) == (10, None)
    assert [line["repository"] for line in ended.envelope["result"]["decisions"]] == ["primary"] * 2

    # A backup on another machine may need what it has just found in the vault.
    drkit = clone(original, new_home())
    process = {"host": "other.example.com", "boot": "b", "pid": 1, "started": 1}
    lease = {"run": "r", "work": "backup", "machine": "other", "process": process}
    buckets.put(vault, "drkit/leases/r.json", json.dumps(lease).encode())
    assert "backup works there, on other.example.com" in drkit.ask("expire")["vault"]["left_alone"]
    assert blobs_of(vault).keys() >= {NAME}
    buckets.remove(vault, "drkit/leases/r.json")


def test_what_no_point_needs_goes_and_what_hides_another(made: tuple[Drkit, Storage]) -> None:
    drkit, vault = made
    needed = blobs_of(vault).keys() - {NAME}
    hidden = sorted(needed)[0]
    buckets.remove(vault, hidden)
    result = drkit.ask("expire")
    # The blob, and the marker that hides one that is needed.
    assert (result["vault"]["blobs"], result["vault"]["versions"], result["vault"]["refused"]) == (1, 1, 0)
    assert not [key for key, _, _ in buckets.versions(vault) if key == vault.key(NAME)]
    assert blobs_of(vault).keys() == needed
    assert drkit.ask("drill", "--level", "quick")["outcome"] == "passed"
    again = drkit.ask("expire")
    assert (again["vault"]["blobs"], again["vault"]["versions"]) == (0, 0)


def test_a_backup_that_has_not_ended_keeps_its_blobs(made: tuple[Drkit, Storage]) -> None:
    drkit, vault = made
    # Services tell whole seconds.
    ended = datetime.fromisoformat(drkit.ask("show", "latest")["finished_at"])
    wait_for(lambda: datetime.now(UTC) - ended > timedelta(seconds=2), "what comes now is younger")
    buckets.put(vault, NAME, CONTENT)
    result = drkit.ask("expire")
    assert (result["vault"]["blobs"], result["vault"]["waiting"]) == (0, 1)
    assert NAME in blobs_of(vault)
    buckets.remove(vault, NAME)


def test_a_second_installation_of_the_same_name_keeps_out_until_it_is_let_in(
    made: tuple[Drkit, Storage], new_home: Callable[[], Path]
) -> None:
    """Its repository is another one, so each leaves alone what the other may need, until one is gone."""
    drkit, vault = made
    second = clone(drkit, new_home())
    shutil.rmtree(second.repository)
    shutil.rmtree(second.state)
    second.restic("init")
    before = buckets.versions(vault)
    told = second.run("backup", "--json")
    assert told.code == 3
    assert "keeps the blobs of another repository" in told.envelope["error"]["message"]
    assert str(drkit.repository) in told.envelope["error"]["message"]
    assert second.run("doctor").code != 0
    assert buckets.versions(vault) == before

    second.change(lambda document: document["vault"].update(shared=True))
    assert second.ask("backup")["bucket"]["copied"] == 0
    first_id = json.loads(drkit.restic("cat", "config"))["id"]
    second_id = json.loads(second.restic("cat", "config"))["id"]
    # A point of the first alone needs it; nothing in the second's repository says so.
    buckets.put(vault, NAME, CONTENT)
    for one, other in ((drkit, second_id), (second, first_id)):
        said = one.ask("expire")["vault"]["left_alone"]
        assert f"repository {other[:16]} of the site" in said
        assert f"expire --forget-repository {other[:16]}" in said
    assert NAME in blobs_of(vault)
    assert drkit.run("expire", "--forget-repository", "0123456789").code == 2
    assert drkit.run("expire", "--forget-repository", first_id).code == 2
    assert drkit.ask("expire", "--forget-repository", second_id[:16])["vault"]["left_alone"] == ""
    assert drkit.ask("expire")["vault"]["left_alone"] == ""
    buckets.remove(vault, NAME)


def test_a_vault_that_is_the_registrys_own_bucket(
    bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path]
) -> None:
    """By another name of its host: nothing may ever be deleted there."""
    images = bucketed.images(bucket_site)
    drkit = clone(bucket_empty, new_home())
    keys = buckets.write_credentials(images, drkit.home / "alias.credentials")
    endpoint = images.endpoint.replace("127.0.0.1", "localhost")
    assert endpoint != images.endpoint
    drkit.change(
        lambda document: document["vault"].update(
            bucket=images.bucket, endpoint=endpoint, prefix=images.prefix, credentials_file=str(keys)
        )
    )
    before = buckets.names(images)
    told = drkit.run("backup", "--json")
    assert told.code == 3
    assert "is the bucket that it protects" in told.envelope["error"]["message"]
    assert drkit.run("expire").code == 4
    found = drkit.run("doctor", "--json").envelope["result"]["findings"]
    assert any("is the bucket that it protects" in each["detail"] for each in found)
    assert buckets.names(images) == before


def test_a_clone_of_the_machine_is_not_taken_for_itself(
    bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path]
) -> None:
    """Its expire gives way to a backup; what has gone all the same stops the seal."""
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home())
    drkit.ask("backup")
    other = clone(drkit, new_home())
    other.change(lambda document: document["repository"][0].update(url=str(drkit.repository)))
    said: list[str] = []
    wanted = sorted(blobs_of(vault))[0]

    def meanwhile(request: Request) -> None:
        if not (request.lists and "versions" in request.path and "blobs" in request.path):
            return
        if not said:
            # As a copy of the machine sees it: the same state, host and number, and another boot.
            (name,) = buckets.names(vault, "drkit/leases")
            lease = json.loads(buckets.get(vault, name))
            lease["process"]["boot"] = "another"
            buckets.put(vault, name, json.dumps(lease).encode())
            said.append(other.ask("expire")["vault"]["left_alone"])
        else:
            # The last look before the seal.
            destroy(vault, wanted)

    try:
        with Proxy(vault.endpoint) as proxy:
            proxy.plan = meanwhile
            drkit.change(lambda document: document["vault"].update(endpoint=proxy.endpoint))
            told = drkit.run("backup", "--json")
        assert "backup works there" in said[0]
        assert told.code == 3, "a blob has gone since it was listed"
        assert "have gone from the vault meanwhile" in told.envelope["error"]["message"]
    finally:
        buckets.unmake(vault)


def test_a_backup_that_ends_just_before_expire_begins_in_the_vault(
    bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path]
) -> None:
    """Another machine's point needs what the doomed one needed; it is sealed before expire is to be seen."""
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home())
    images = bucketed.images(bucket_site)
    try:
        two_points(drkit, bucket_site)
        other = clone(drkit, new_home())
        other.change(lambda document: document["repository"][0].update(url=str(drkit.repository)))
        shutil.rmtree(other.state)
        buckets.put(images, NAME, CONTENT)
        taken: list[str] = []
        back_up = once(lambda: taken.append(other.ask("backup")["id"]))

        def backup_first(request: Request) -> None:
            if request.method == "PUT" and "/leases/" in request.path:
                back_up()

        with Proxy(vault.endpoint) as proxy:
            proxy.plan = backup_first
            drkit.change(lambda document: document["vault"].update(endpoint=proxy.endpoint))
            found = drkit.ask("expire")["vault"]
        assert len(taken) == 1
        assert (found["blobs"], found["left_alone"]) == (0, "")
        assert NAME in blobs_of(vault)
        root = drkit.home / "root"
        other.ask("restore", taken[0], "--only", "blobs", "--yes", "--root", str(root))
        assert [path.read_bytes() for path in root.rglob("data") if path.parent.name in DIGEST] == [CONTENT]
    finally:
        buckets.remove(images, NAME)
        buckets.unmake(vault)


def test_what_is_locked_stays_until_then(
    bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path]
) -> None:
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home(), lockable=True)
    try:
        two_points(drkit, bucket_site)
        result = drkit.ask("expire")["vault"]
        assert (result["blobs"], result["locked"], result["locked_bytes"]) == (0, 1, len(CONTENT))
        assert result["locked_until"] is not None
        assert NAME in blobs_of(vault)
        assert "1 objects" in (shown := drkit.run("expire").stdout)
        assert "stay, since they are locked, the first until" in shown
    finally:
        buckets.unmake(vault)
