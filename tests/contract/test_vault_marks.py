"""Who works in a vault, and whose it is: tried with two machines at one bucket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from drkit.errors import NotOurs, SiteLocked, ToolFailed
from drkit.model import BucketPlace
from drkit.sources.vault import marks as vault_marks
from drkit.sources.vault.marks import Held, backing_up, claim, held, marks, sweep
from drkit.tools.s3 import Bucket
from tests.buckets import Service

NO_TIME = timedelta(0)


@pytest.fixture
def vault(s3: Service) -> Iterator[Bucket]:
    with Bucket(s3.bucket(versions=True)) as opened:
        yield opened


@pytest.fixture
def place(vault: Bucket) -> BucketPlace:
    return BucketPlace(vault.access.bucket, "deep/vault", vault.access.endpoint)


def test_a_vault_belongs_to_one_site(vault: Bucket, place: BucketPlace) -> None:
    claim(vault, place, "one.example.com")
    claim(vault, place, "one.example.com")
    with pytest.raises(NotOurs, match=r"belongs to the site one\.example\.com") as caught:
        claim(vault, place, "two.example.com")
    assert "prefix" in caught.value.hint
    claim(vault, BucketPlace(place.bucket, "other"), "two.example.com")


def test_nobody_can_tell_whose_a_vault_is(vault: Bucket, place: BucketPlace) -> None:
    vault.put("deep/vault/drkit/site.json", b"{")
    with pytest.raises(NotOurs, match=r"site\.json cannot be read"):
        claim(vault, place, "one.example.com")


def test_a_mark_lasts_as_long_as_the_work(vault: Bucket, place: BucketPlace) -> None:
    with held(vault, place, "run-1", "expire", "here", every=timedelta(milliseconds=50)) as mark:
        first = vault.first("deep/vault/drkit/running/")
        threading.Event().wait(0.5)
        (only,) = marks(vault, place)
        assert (only.run, only.work, only.machine) == ("run-1", "expire", "here")
        mark.check()
        later = list(vault.listed("deep/vault/drkit/running/", versions=True))
        # Each refreshing removes the version before it.
        assert len(later) <= 2
        assert first is not None
    assert not list(vault.listed("", versions=True))


def test_expire_sees_a_backup_and_a_backup_an_expire(vault: Bucket, place: BucketPlace) -> None:
    with (
        backing_up(vault, place, "run-1", site="s", machine="here", wait=NO_TIME),
        held(vault, place, "run-2", "expire", "there") as mark,
    ):
        assert [(other.work, other.run) for other in mark.others()] == [("backup", "run-1")]
    with held(vault, place, "run-2", "expire", "there"):
        with (
            pytest.raises(SiteLocked, match=r"expire \(run run-2 on"),
            backing_up(vault, place, "run-3", site="s", machine="here", wait=NO_TIME),
        ):
            pytest.fail("it has not waited")
        # It is gone when it has given up, or the next expire would wait for it.
        assert [mark.run for mark in marks(vault, place)] == ["run-2"]


def test_a_backup_waits_for_expire(
    vault: Bucket, place: BucketPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_marks, "_LOOK_AGAIN", 0.05)
    over = threading.Event()
    with held(vault, place, "run-2", "expire", "there") as other:

        def end() -> None:
            over.set()
            other.end()

        timer = threading.Timer(0.3, end)
        timer.start()
        with backing_up(vault, place, "run-3", site="s", machine="here", wait=timedelta(seconds=30)):
            assert over.is_set()
        timer.join()


def test_a_mark_of_the_same_machine_is_that_of_a_dead_run(vault: Bucket, place: BucketPlace) -> None:
    dead = Held(vault, place, "dead", "expire", "here")
    dead.write()
    with backing_up(vault, place, "run-1", site="s", machine="here", wait=NO_TIME) as mark:
        assert sweep(mark) == 1
        assert [found.run for found in marks(vault, place)] == ["run-1"]


def test_an_old_mark_counts_for_nothing(
    vault: Bucket, place: BucketPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    Held(vault, place, "dead", "expire", "there").write()
    monkeypatch.setattr(vault_marks, "STALE", NO_TIME)
    with backing_up(vault, place, "run-1", site="s", machine="here", wait=NO_TIME) as mark:
        with pytest.raises(ToolFailed, match="could not be kept fresh"):
            mark.check()
        assert sweep(mark) == 1


def test_what_is_no_mark_of_ours_counts_as_work(vault: Bucket, place: BucketPlace) -> None:
    vault.put("deep/vault/drkit/running/odd.json", json.dumps([]).encode())
    with held(vault, place, "run-1", "expire", "here") as mark:
        assert [other.work for other in mark.others()] == ["something"]


def test_unfinished_uploads_are_swept_unless_another_works(vault: Bucket, place: BucketPlace) -> None:
    for key in ("deep/vault/docker/x", "elsewhere/x"):
        vault.client.call(vault.client.api.create_multipart_upload, Key=key)
    with held(vault, place, "run-1", "backup", "here") as mark:
        with held(vault, place, "run-2", "backup", "there"):
            assert sweep(mark) == 0
        assert sweep(mark) == 1
    assert [upload.key for upload in vault.unfinished("")] == ["elsewhere/x"]
