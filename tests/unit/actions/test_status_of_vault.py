"""Locks that have ended although the newest point relies on them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drkit import config
from drkit.actions.doctor.repositories import out_of_reach
from drkit.actions.status import of_vault
from drkit.actions.status.of_copies import Further
from drkit.model import Bucketed, BucketPlace, Point
from tests import samples

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def point(until: datetime | None) -> Point:
    found = samples.sealed("p", NOW - timedelta(hours=1))
    assert found.manifest
    place = BucketPlace("blobs")
    return replace(found, manifest=replace(found.manifest, bucket=Bucketed(place, place, locked_until=until)))


def test_locks_that_last() -> None:
    for found in (None, samples.sealed("p", NOW), point(None), point(NOW + timedelta(days=1))):
        assert list(of_vault.ended_locks(found, NOW)) == []


def test_locks_that_a_wrong_clock_has_set_into_the_past() -> None:
    (found,) = of_vault.ended_locks(point(NOW - timedelta(days=2)), NOW)
    assert "have ended on 2026-11-26" in found.message
    assert found.red


def test_a_copy_without_a_vault_of_its_own_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "drkit.toml").write_text(
        """
        [site]
        name = "site"
        [vault]
        bucket = "blobs"
        credentials_file = "/k"
        """
        + "".join(
            f'[[repository]]\nname = "{name}"\nurl = "/{name}"\npassword_file = "/p"\n'
            for name in ("primary", "near", "far")
        )
        + '[repository.vault]\nbucket = "other"\ncredentials_file = "/k2"\n'
    )
    settings = config.load_config(tmp_path / "drkit.toml")
    assert out_of_reach(settings, ["near", "far"]) == (
        "this host cannot destroy near, far; the images are in s3://blobs, s3://other,"
        " of which the lines about locks tell"
    )
    relying, images = point(None), samples.sealed("p", NOW)
    (found,) = of_vault.relied_on_by_copies(
        settings, [Further("near", None, (relying,)), Further("far", None, (relying,))]
    )
    assert (found.red, found.subject) == (False, "near/alone")
    assert "in the vault s3://blobs alone, like those in primary" in found.message
    for points in (None, (), (images,)):
        assert list(of_vault.relied_on_by_copies(settings, [Further("near", None, points)])) == []


def test_another_vault_than_the_newest_points() -> None:
    vault = config.Vault(bucket="blobs", prefix="second", credentials_file=Path("/k"))
    (found,) = of_vault.moved(vault, point(None))
    assert (
        found.message
        == "the newest point has its image blobs in the vault s3://blobs, and [vault] is s3://blobs/second"
    )
    assert found.red
    same = config.Vault(bucket="blobs", credentials_file=Path("/k"))
    for configured, newest in ((same, point(None)), (vault, None), (None, point(None))):
        assert list(of_vault.moved(configured, newest)) == []
