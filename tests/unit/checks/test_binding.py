"""What binds a manifest to its point: the tags that restic stored with each snapshot."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from drkit.checks.binding import Binding, parts_belong
from drkit.model import Outcome, Part, PartKind, PointManifest
from drkit.points.seals import foreign_parts
from drkit.tools.restic.output import Snapshot
from tests.samples import manifest

NOW = datetime(2026, 11, 24, 2, tzinfo=UTC)
SITE = "registry.example.com"
KINDS: tuple[PartKind, ...] = ("database", "roles", "blobs")


def bound(point: str) -> tuple[PointManifest, list[Snapshot]]:
    parts = tuple(Part(kind, kind, f"{point}-{kind}", "/x", 100, 10, 1.0) for kind in KINDS)
    return replace(manifest(point, NOW), parts=parts), [stored(point, part) for part in parts]


def stored(point: str, part: Part) -> Snapshot:
    tags = (f"drkit:site:{SITE}", f"drkit:point:{point}", f"drkit:part:{part.kind}:{part.name}")
    return Snapshot(part.snapshot, NOW, SITE, tags, ("/x",), None, part.bytes)


def test_the_parts_of_a_point_belong_to_it() -> None:
    mine, snapshots = bound("mine")
    finding = parts_belong(mine, "mine", snapshots)
    assert finding.outcome is Outcome.PASSED
    assert finding.detail == "3 parts, each stored as that part of this point"


def test_a_copied_snapshot_is_known_by_its_original() -> None:
    mine, snapshots = bound("mine")
    copied = [replace(s, id=f"copy-of-{s.id}", original=s.id) for s in snapshots]
    assert foreign_parts(mine, "mine", copied) == ()


def test_an_old_restic_records_no_size() -> None:
    mine, snapshots = bound("mine")
    assert foreign_parts(mine, "mine", [replace(s, bytes=None) for s in snapshots]) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "elsewhere"}, "database database: no snapshot mine-dat of this point is in the repository"),
        ({"bytes": 99}, "database database: 99 bytes were stored, not 100"),
        (
            {"tags": (f"drkit:site:{SITE}", "drkit:point:mine", "drkit:part:blobs:blobs")},
            "database database: snapshot mine-dat was not stored as that",
        ),
        (
            {"tags": (f"drkit:site:{SITE}", "drkit:point:other", "drkit:part:database:database")},
            "database database: snapshot mine-dat was not stored as that",
        ),
    ],
)
def test_each_way_in_which_a_part_is_foreign(change: dict[str, object], said: str) -> None:
    mine, (first, *rest) = bound("mine")
    spoilt = replace(first, **change)  # type: ignore[arg-type]
    assert foreign_parts(mine, "mine", [spoilt, *rest]) == (said,)


def test_what_is_in_the_seal_belongs_to_the_point_of_the_seal() -> None:
    mine, snapshots = bound("mine")
    roles = replace(mine.parts[1], snapshot="mine-seal")
    mine = replace(mine, parts=(mine.parts[0], roles))
    tags = (f"drkit:site:{SITE}", "drkit:point:mine", "drkit:manifest")
    seal = Snapshot("mine-seal", NOW, SITE, tags, ("/x",), None, 4_000)
    assert foreign_parts(mine, "mine", [snapshots[0], seal]) == ()
    gone = "roles roles: no snapshot mine-sea of this point is in the repository"
    assert foreign_parts(mine, "mine", [snapshots[0]]) == (gone,)
    theirs = replace(seal, tags=(tags[0], "drkit:point:theirs", tags[2]))
    said = "roles roles: snapshot mine-sea was not stored as that"
    assert foreign_parts(mine, "mine", [snapshots[0], theirs]) == (said,)


@pytest.mark.parametrize("another", [True, False])
def test_the_manifest_of_another_point_is_caught(another: bool) -> None:
    mine, snapshots = bound("mine")
    binding = Binding(mine, lambda: snapshots, bound("theirs")[0] if another else None)
    (check,), (control,) = binding.checks(), binding.controls()
    assert check.run().outcome is Outcome.PASSED
    assert control.run().caught
    assert ("that of theirs" in control.planted) is another
