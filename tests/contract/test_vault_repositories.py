"""Who relies on a vault is recorded in it, and whether it is the registry's own bucket is proved."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from drkit.blobs.vault import repositories
from drkit.blobs.vault.leases import held
from drkit.blobs.vault.repositories import Recorded, Reliant
from drkit.blobs.vault.separate import refuse_same
from drkit.errors import ConfigError, NotOurs, UsageError
from drkit.model import BucketPlace
from drkit.registry import storage
from drkit.tools.s3.bucket import Bucket
from tests.buckets import Service

ONE = Reliant("1" * 64, "registry", "/backup/one")
TWO = Reliant("2" * 64, "registry", "/backup/two")


@pytest.fixture
def vault(s3: Service) -> Iterator[Bucket]:
    with Bucket(s3.bucket(versions=True)) as opened:
        yield opened


@pytest.fixture
def place(vault: Bucket) -> BucketPlace:
    return BucketPlace(vault.access.bucket, "deep/vault", vault.access.endpoint)


def begin(vault: Bucket, place: BucketPlace, *ours: Reliant, shared: bool = False) -> None:
    """What a backup does before it copies anything."""
    known = repositories.recorded(vault, place)
    repositories.refuse_foreign(known, ours, place, shared=shared)
    repositories.record(vault, place, ours, shared=shared, known=known)


def names(found: tuple[Recorded, ...]) -> set[Reliant]:
    return {each.reliant for each in found}


def test_another_repository_of_a_site_of_the_same_name_is_refused(vault: Bucket, place: BucketPlace) -> None:
    begin(vault, place, ONE)
    begin(vault, place, ONE)
    for other in (TWO, replace(ONE, site="another")):
        with pytest.raises(NotOurs, match="keeps the blobs of another repository") as caught:
            begin(vault, place, other)
        assert ONE.url in caught.value.message
        assert f"--forget-repository {ONE.id[:16]}" in caught.value.hint
    assert names(repositories.recorded(vault, place)) == {ONE}
    begin(vault, BucketPlace(place.bucket, "other"), TWO)


def test_what_is_configured_or_shared_is_taken_in(vault: Bucket, place: BucketPlace) -> None:
    begin(vault, place, ONE)
    begin(vault, place, TWO, ONE)
    third = Reliant("3" * 64, "another", "/backup/three")
    begin(vault, place, third, shared=True)
    found = repositories.recorded(vault, place)
    assert names(found) == {ONE, TWO, third}
    assert names(repositories.foreign(found, [ONE, TWO])) == {third}
    # Whoever was there before others came goes on.
    begin(vault, place, ONE)


def test_of_two_that_are_as_quick_one_gives_way(
    vault: Bucket, place: BucketPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked before either has written."""
    for quicker, slower in ((ONE, TWO), (TWO, ONE)):
        repositories.record(vault, place, [quicker], shared=False, known=())
        threading.Event().wait(1.1)
        with pytest.raises(NotOurs):
            repositories.record(vault, place, [slower], shared=False, known=())
        assert names(repositories.recorded(vault, place)) == {quicker}
        vault.delete([(each.key, None) for each in repositories.recorded(vault, place)])


def test_one_that_is_gone_is_forgotten_by_name(vault: Bucket, place: BucketPlace) -> None:
    begin(vault, place, ONE)
    begin(vault, place, TWO, shared=True)
    for wrong in ("2222", "", "3" * 64):
        with pytest.raises(UsageError, match="does not name one repository") as caught:
            repositories.forget(vault, place, wrong, [ONE])
        assert TWO.url in caught.value.hint
    with pytest.raises(UsageError, match="is in this configuration"):
        repositories.forget(vault, place, ONE.id, [ONE])
    assert names(repositories.forget(vault, place, TWO.id[:16], [ONE], dry_run=True)) == {TWO}
    assert names(repositories.recorded(vault, place)) == {ONE, TWO}
    repositories.forget(vault, place, TWO.id[:16], [ONE])
    assert names(repositories.recorded(vault, place)) == {ONE}


def test_a_record_that_cannot_be_read_is_no_record_of_ours(vault: Bucket, place: BucketPlace) -> None:
    vault.put("deep/vault/drkit/repositories/odd.json", b"{")
    with pytest.raises(NotOurs, match="it is not certain who relies on the vault"):
        begin(vault, place, ONE)


@pytest.mark.parametrize("by", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("root", ["", "deep/vault", "elsewhere"])
def test_the_registrys_own_bucket_by_another_name(
    vault: Bucket, place: BucketPlace, s3: Service, by: str, root: str
) -> None:
    alias = s3.behind(f"{s3.endpoint.replace('127.0.0.1', by)}/")
    with (
        Bucket(alias.access(vault.access.bucket)) as source,
        held(vault, place, "run-1", "backup", "here") as lease,
        pytest.raises(ConfigError, match="is the bucket that it protects"),
    ):
        refuse_same(
            source, BucketPlace(place.bucket, root, alias.endpoint), vault, place, (lease.key, lease.nonce)
        )


def test_two_buckets_pass_with_one_request(vault: Bucket, place: BucketPlace, s3: Service) -> None:
    with (
        Bucket(s3.bucket()) as source,
        held(vault, place, "run-1", "backup", "here") as lease,
    ):
        # What somebody has copied there from the vault is no proof.
        source.put(lease.key, b"{}")
        source.put(f"root/{storage.blob_name('sha256:' + 'ab' * 32)}", b"blob")
        before = source.client.requests
        refuse_same(source, BucketPlace(source.access.bucket, "root"), vault, place, (lease.key, lease.nonce))
        assert source.client.requests - before == 1
        assert len(list(source.listed())) == 2, "nothing is written there"
