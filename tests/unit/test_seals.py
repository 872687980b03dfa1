"""Which manifest counts, from every state that a rotation may be cut off in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from drkit import seals
from drkit.model import Manifest, Part, Point, PointStatus
from drkit.tools.restic_output import Snapshot
from tests import samples

NAME = "20261124-020000-4f2a9c"
AT = datetime(2026, 11, 24, 2, tzinfo=UTC)
HERE, ELSEWHERE = "here", "elsewhere"


def snapshot(name: str, tag: str, minute: int, machine: str = HERE) -> Snapshot:
    tags = (f"drkit:point:{NAME}", f"drkit:machine:{machine}", tag)
    return Snapshot(name, AT + timedelta(minutes=minute), "site", tags, ())


def manifest(bundle: str, revision: int, *replaces: str) -> Manifest:
    parts = (Part("roles", "r", "dump", "/x", 1, 1, 1.0), Part("secrets", "secrets", bundle, "/y", 1, 1, 1.0))
    return replace(samples.manifest(NAME, AT), parts=parts, revision=revision, replaces=replaces)


BUNDLE, SEAL = "drkit:part:secrets:secrets", "drkit:manifest"
DUMP = snapshot("dump", "drkit:part:roles:r", 0)
OLD = (snapshot("old bundle", BUNDLE, 1), snapshot("old seal", SEAL, 2))
MANIFESTS: dict[str, Manifest | str] = {
    "old seal": manifest("old bundle", 0),
    "new seal": manifest("new bundle", 1, "old seal", "old bundle"),
}


def found(*snapshots: Snapshot) -> Point:
    group = sorted((DUMP, *snapshots), key=lambda each: each.time)
    return seals.point_of(NAME, group, MANIFESTS, (), HERE)


def bundle_of(point: Point) -> str:
    assert point.status is PointStatus.SEALED
    assert point.manifest
    return point.manifest.need("secrets", "secrets").snapshot


# The clock of the machine that rotates may be behind that of the one that made the point.
@pytest.mark.parametrize("minute", [3, -3])
def test_each_step_of_a_rotation_leaves_one_whole_point(minute: int) -> None:
    bundle, seal = snapshot("new bundle", BUNDLE, minute), snapshot("new seal", SEAL, minute)
    steps = [
        ((*OLD,), "old", ()),
        ((*OLD, bundle), "old", ("new bundle",)),
        ((*OLD, bundle, seal), "new", ("old seal", "old bundle")),
        ((OLD[0], bundle, seal), "new", ("old bundle",)),
        ((bundle, seal), "new", ()),
    ]
    for snapshots, wanted, superseded in steps:
        point = found(*snapshots)
        assert bundle_of(point) == f"{wanted} bundle"
        assert point.manifest_snapshot == f"{wanted} seal"
        assert point.superseded == superseded


def test_what_another_machine_may_be_about_to_seal_is_left_alone() -> None:
    assert found(*OLD, snapshot("new bundle", BUNDLE, 3, ELSEWHERE)).superseded == ()


def test_a_seal_counts_only_with_every_part() -> None:
    seal = snapshot("new seal", SEAL, 3)
    assert bundle_of(found(*OLD, seal)) == "old bundle"
    assert found(seal).status is PointStatus.INCOMPLETE
    assert found(OLD[0]).status is PointStatus.INCOMPLETE


def test_a_point_whose_seal_is_broken_says_why() -> None:
    assert found(OLD[0]).broken_seal == "", "never sealed"
    gone = "a part of it is not in the repository any more: secrets secrets"
    assert found(snapshot("new seal", SEAL, 3)).broken_seal == gone
    unread: dict[str, Manifest | str] = {"old seal": "its manifest cannot be read"}
    point = seals.point_of(NAME, [DUMP, *OLD], unread, (), HERE)
    assert (point.status, point.broken_seal) == (PointStatus.INCOMPLETE, "its manifest cannot be read")
    other: dict[str, Manifest | str] = {"old seal": replace(manifest("old bundle", 0), id="another")}
    assert (
        seals.point_of(NAME, [DUMP, *OLD], other, (), HERE).broken_seal == "its manifest is that of another"
    )


def test_while_a_seal_cannot_be_read_nothing_is_superseded() -> None:
    """It may be the later one, of a bundle that the earlier does not name."""
    manifests = {**MANIFESTS, "new seal": "its manifest cannot be read"}
    group = [DUMP, *OLD, snapshot("new bundle", BUNDLE, 3), snapshot("new seal", SEAL, 4)]
    point = seals.point_of(NAME, group, manifests, (), HERE)
    assert bundle_of(point) == "old bundle"
    assert point.superseded == ()
