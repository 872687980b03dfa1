"""restic repositories in a bucket: copied from and to, and what these credentials could do to them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drkit.tools.restic.bucket import place
from drkit.tools.restic.repository import Repository
from drkit.tools.s3.bucket import Access, Bucket
from testenv.s3_faults import Fault, Proxy
from tests.buckets import Service, service

SITE = ("drkit:site:registry.example.com",)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("s3")) as running:
        yield running


def in_bucket(repository: Repository, access: Access) -> Repository:
    """A repository in a bucket with the same password, by its address; it need not be there."""
    credentials = {**access.credentials, "AWS_DEFAULT_REGION": access.region or ""}
    url = f"s3:{access.endpoint}/{access.bucket}/{secrets.token_hex(4)}"
    return Repository(replace(repository.access, url=url, credentials=credentials))


def objects(access: Access) -> list[str]:
    with Bucket(access) as bucket:
        return [f"{each.key} {each.version}" for each in bucket.listed(versions=True)]


def test_snapshots_go_into_a_bucket_and_come_back(
    repository: Repository, s3: Service, tmp_path: Path
) -> None:
    there = in_bucket(repository, s3.bucket())
    there.initialise_like(repository)
    assert there.chunker == repository.chunker
    first = repository.save_stream([b"content"], "file", SITE, "registry.example.com").snapshot
    there.copy_from(repository, [first], "copy", lambda _update: None)
    (copied,) = there.snapshots(SITE[0])
    assert copied.original == first
    back = Repository(replace(repository.access, url=str(tmp_path / "back")))
    back.initialise_like(there)
    back.copy_from(there, [copied.id], "copy", lambda _update: None)
    (again,) = back.snapshots(SITE[0])
    assert b"".join(back.read(again.id, "/file")) == b"content"
    there.forget([copied.id])
    assert there.snapshots(SITE[0]) == ()


@pytest.mark.parametrize("versions", [False, True])
def test_whoever_may_delete_could_destroy_it(repository: Repository, s3: Service, *, versions: bool) -> None:
    access = s3.bucket(versions=versions)
    before = objects(access)
    found = in_bucket(repository, access).removals()
    assert (found.allowed, found.safe) == (True, False)
    assert objects(access) == before, "neither object nor marker is left"


@pytest.mark.parametrize("versions", [False, True])
def test_whoever_may_not_delete_could_not(repository: Repository, s3: Service, *, versions: bool) -> None:
    access = s3.bucket(versions=versions)
    with Proxy(s3.endpoint) as proxy:
        proxy.add(Fault(f"POST /{access.bucket}", error=(403, "AccessDenied"), times=9))
        found = in_bucket(repository, replace(access, endpoint=proxy.endpoint)).removals()
    assert found.safe, found
    assert found.allowed is (None if versions else False)


def test_a_bucket_that_locks_by_itself(repository: Repository, s3: Service) -> None:
    access = s3.bucket(locks=True)
    assert not in_bucket(repository, access).removals().safe, "nothing is locked yet"
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 30}}
    s3.api().put_object_lock_configuration(
        Bucket=access.bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    found = in_bucket(repository, access).removals()
    assert (found.allowed, found.safe, found.kept) == (
        None,
        True,
        "its bucket locks for 30 days what is put there",
    )


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("s3:https://host:9000/bucket/a/b", ("https://host:9000", "bucket", "a/b/")),
        ("s3:s3.amazonaws.com/bucket", ("https://s3.amazonaws.com", "bucket", "")),
        ("s3://host/bucket/", ("https://host", "bucket", "")),
        ("s3:http://127.0.0.1:1/bucket/a/", ("http://127.0.0.1:1", "bucket", "a/")),
        ("s3:bucket", None),
        ("/s3", None),
    ],
)
def test_an_address(url: str, meant: tuple[str, str, str] | None) -> None:
    found = place(url, {})
    assert (found and (found.access.endpoint, found.access.bucket, found.prefix)) == meant
