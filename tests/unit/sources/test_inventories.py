"""Many inventories as one stream: each version of a blob once."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from drkit.sources import inventories, inventory
from drkit.sources.inventory import Entry

LATER = datetime(2027, 1, 1, tzinfo=UTC)


def entry(number: int, version: str | None = None, until: datetime | None = None) -> Entry:
    return Entry(f"sha256:{number:064x}", f"key-{number}", number, version, until)


def merged(directory: Path, *points: list[Entry]) -> list[Entry]:
    streams = [partial(inventory.to_lines, point) for point in points]
    return list(inventories.merged(streams, directory))


def test_what_points_have_in_common_comes_once(tmp_path: Path) -> None:
    one, two, three = entry(1), entry(2), entry(3)
    assert merged(tmp_path, [one, two], [two, three], [one, three]) == [one, two, three]


def test_a_lock_that_was_extended_makes_no_other_blob(tmp_path: Path) -> None:
    before, after, other = entry(1, "v1"), entry(1, "v1", LATER), entry(1, "v2", LATER)
    found = merged(tmp_path, [before], [after], [other], [entry(1)])
    assert sorted(str(each.version) for each in found) == ["None", "v1", "v2"]


def test_more_than_are_read_at_once(tmp_path: Path) -> None:
    points = [[entry(number), entry(number + 1, "v", LATER)] for number in range(0, 18, 2)]
    assert merged(tmp_path, *points) == [each for point in points for each in point]
    assert list(tmp_path.iterdir()) == []
