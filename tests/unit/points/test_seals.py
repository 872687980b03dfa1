"""Which manifest counts, from every state that a rotation may be cut off in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from drkit.model import Part, Point, PointManifest, PointStatus, SecretFile
from drkit.points import seals
from drkit.tools.restic.output import Snapshot
from tests import samples

NAME = "20261124-020000-4f2a9c"
AT = datetime(2026, 11, 24, 2, tzinfo=UTC)


def snapshot(name: str, tag: str, minute: int) -> Snapshot:
    tags = (f"drkit:point:{NAME}", "drkit:machine:here", tag)
    return Snapshot(name, AT + timedelta(minutes=minute), "site", tags, ())


def manifest(seal: str, revision: int) -> PointManifest:
    dump, bundle = Part("database", "r", "dump", "/x", 1, 1, 1.0), Part("secrets", "s", "", "/y", 1, 1, 1.0)
    stored = replace(samples.manifest(NAME, AT), parts=(dump, bundle), revision=revision)
    return stored.in_seal(seal)


SEAL = "drkit:manifest"
DUMP = snapshot("dump", "drkit:part:database:r", 0)
OLD = snapshot("old seal", SEAL, 2)
MANIFESTS: dict[str, PointManifest | str] = {
    "old seal": manifest("old seal", 0),
    "new seal": manifest("new seal", 1),
}


def found(*snapshots: Snapshot, unread: int = 0) -> Point:
    group = sorted(snapshots, key=lambda each: each.time)
    return seals.point_of(NAME, group, MANIFESTS, (), unread=unread)


def bundle_of(point: Point) -> str:
    assert point.status is PointStatus.SEALED
    assert point.manifest
    return point.manifest.need("secrets", "s").snapshot


# The clock of the machine that rotates may be behind that of the one that made the point.
@pytest.mark.parametrize("minute", [3, -3])
def test_each_step_of_a_rotation_leaves_one_whole_point(minute: int) -> None:
    new = snapshot("new seal", SEAL, minute)
    steps = [((OLD,), "old", ()), ((OLD, new), "new", ("old seal",)), ((new,), "new", ())]
    for seals_there, wanted, superseded in steps:
        point = found(DUMP, *seals_there)
        assert bundle_of(point) == point.manifest_snapshot == f"{wanted} seal"
        assert point.superseded == superseded


def test_a_seal_counts_only_with_every_part() -> None:
    assert found(DUMP, OLD).status is PointStatus.SEALED
    assert found(OLD).status is PointStatus.INCOMPLETE
    assert found(DUMP).status is PointStatus.INCOMPLETE


def test_a_point_whose_seal_is_broken_says_why() -> None:
    assert found(DUMP).broken_seal == "", "never sealed"
    assert found(OLD).broken_seal == "a part of it is not in the repository any more: database r"
    unread: dict[str, PointManifest | str] = {"old seal": "its manifest cannot be read"}
    point = seals.point_of(NAME, [DUMP, OLD], unread, ())
    assert (point.status, point.broken_seal) == (PointStatus.UNREADABLE, "its manifest cannot be read")
    other: dict[str, PointManifest | str] = {"old seal": replace(manifest("old seal", 0), id="another")}
    assert seals.point_of(NAME, [DUMP, OLD], other, ()).broken_seal == "its manifest is that of another"


def test_what_is_in_another_seal_than_its_own_is_no_part() -> None:
    """Neither the tags nor the id of a later seal make it the part that an earlier one names."""
    forged: dict[str, PointManifest | str] = {"new seal": manifest("old seal", 1)}
    new = snapshot("new seal", SEAL, 3)
    gone = "a part of it is not in the repository any more: secrets s"
    assert seals.point_of(NAME, [DUMP, new], forged, ()).broken_seal == gone


def test_while_a_snapshot_cannot_be_read_no_point_is_called_incomplete() -> None:
    """It may be the seal, or the part that is missing; what is incomplete is swept away."""
    assert found(DUMP).status is PointStatus.INCOMPLETE
    point = found(DUMP, unread=2)
    assert point.status is PointStatus.UNREADABLE
    assert point.doubt == (
        f"point {NAME} cannot be read: it has no seal, and 2 snapshots of the repository cannot be read"
    )
    assert found(OLD, unread=1).status is PointStatus.UNREADABLE
    whole = found(DUMP, OLD, snapshot("new seal", SEAL, 3), unread=1)
    assert (whole.status, whole.superseded) == (PointStatus.SEALED, ())


def test_while_a_seal_cannot_be_read_nothing_is_superseded() -> None:
    """It may be the later one."""
    manifests = {**MANIFESTS, "new seal": "its manifest cannot be read"}
    point = seals.point_of(NAME, [DUMP, OLD, snapshot("new seal", SEAL, 4)], manifests, ())
    assert bundle_of(point) == "old seal"
    assert point.superseded == ()


def with_part(**changes: Any) -> PointManifest:
    return replace(samples.manifest(NAME, AT), parts=(replace(PART, **changes),))


PART = Part("blobs", "blobs", "0" * 64, "/data/registry", 1, 1, 1.0)
UNSAFE = {
    "id": replace(samples.manifest(NAME, AT), id="../../etc/x"),
    "name of a part": with_part(name="../x"),
    "name of a part, dots": with_part(name=".."),
    "path of a part": with_part(path="/data/../etc"),
    "path that is not absolute": with_part(path="data/registry"),
    "doubled slash": with_part(path="/data//registry"),
    "zero byte": with_part(path="/data/registry\0rm"),
    "an option of restic's": with_part(snapshot="--password-command=x"),
    "another snapshot's folder": with_part(snapshot="0:/etc"),
    "root directory": replace(samples.manifest(NAME, AT), blobs_root="/data/registry/../../etc"),
    "secret file": replace(samples.manifest(NAME, AT), secret_files=(SecretFile("/data/../etc/shadow", 1),)),
}


@pytest.mark.parametrize("what", UNSAFE)
def test_a_manifest_that_leads_out_of_its_place_does_not_count(what: str) -> None:
    assert seals.unsafe(UNSAFE[what])
    assert not seals.unsafe(with_part())
    # A directory may be called so.
    assert not seals.unsafe(with_part(path="/data/it's a\n$(touch x)"))
    seal = snapshot("seal", SEAL, 1)
    point = seals.point_of(NAME, [seal], {"seal": UNSAFE[what]}, ())
    assert (point.status, point.manifest) == (PointStatus.INCOMPLETE, None)
    assert point.broken_seal
