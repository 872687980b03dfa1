"""Inventories compared with a vault's listing, and which part of it is read."""

from __future__ import annotations

from datetime import UTC, datetime

from drkit.blobs.inventory import Entry
from drkit.blobs.vault.reading import key_of
from drkit.blobs.vault.verifying import Compared, Sample, compared
from drkit.model import BucketPlace
from drkit.tools.s3.bucket import Object

PLACE = BucketPlace("vault", "kept")


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def entry(number: int, version: str | None = "v1", size: int = 5) -> Entry:
    return Entry(digest(number), key_of(PLACE, digest(number)), size, version)


def there(
    number: int, version: str | None = "v1", size: int = 5, *, latest: bool = True, deleted: bool = False
) -> Object:
    return Object(key_of(PLACE, digest(number)), size, "", "", version, latest, deleted)


def found(entries: list[Entry], listed: list[Object]) -> list[Compared]:
    return [each for _, each in compared(PLACE, entries, listed)]


SOUND, HIDDEN, ANOTHER = Compared(), Compared(hidden=True), Compared(another=True)


def test_what_is_there_at_its_size_and_version() -> None:
    listed = [there(1), there(2), there(4)]
    assert found([entry(1), entry(4)], listed) == [SOUND, SOUND]


def test_what_is_gone_or_cut() -> None:
    listed = [there(2, size=4), there(3, "v2", size=6), there(5, "v2", deleted=True)]
    assert found([entry(1), entry(2), entry(3), entry(4), entry(5, None)], listed) == [
        Compared(f"{digest(1)} is gone from the vault"),
        Compared(f"{digest(2)} has 4 bytes in the vault and should have 5"),
        Compared(f"{digest(3)} (version v1) is gone from the vault"),
        Compared(f"{digest(4)} is gone from the vault"),
        Compared(f"{digest(5)} is gone from the vault"),
    ]


def test_versions_below_others_are_there_and_hidden() -> None:
    listed = [
        there(1, "v2", latest=True, deleted=True), there(1, latest=False),
        there(2, "v2", 9), there(2, latest=False),
    ]  # fmt: skip
    assert found([entry(1), entry(2)], listed) == [HIDDEN, HIDDEN]


def test_another_version_of_the_same_size_has_to_be_read() -> None:
    listed = [
        there(1, "v2"),
        there(2, "v2", deleted=True), there(2, latest=False),
        there(3, None),
        there(4, "v2", size=9), there(4, latest=False),
    ]  # fmt: skip
    entries = [entry(1), entry(2, None), entry(3, None), entry(4, None)]
    assert found(entries, listed) == [ANOTHER, ANOTHER, SOUND, ANOTHER]


def test_two_versions_of_one_blob_are_both_looked_for() -> None:
    listed = [there(1, "v2"), there(1, "v1", latest=False)]
    assert [each.fault for each in found([entry(1, "v1"), entry(1, "v2")], listed)] == ["", ""]


def test_a_sample_of_locks_is_fair_and_no_larger_than_wished() -> None:
    locked = [entry(number)._replace(locked_until=datetime(2027, 1, 1, tzinfo=UTC)) for number in range(100)]
    few, all_, seen = Sample(10), Sample(1000), set[str]()
    for each in (*locked, entry(100)):
        all_.offer(each)
    assert all_.entries == locked
    for _ in range(100):
        few = Sample(10)
        for each in locked:
            few.offer(each)
        assert len({each.digest for each in few.entries}) == 10
        seen |= {each.digest for each in few.entries}
    assert len(seen) > 90
