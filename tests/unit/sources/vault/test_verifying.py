"""Inventories compared with a vault's listing, and which part of it is read."""

from __future__ import annotations

from drkit.model import BucketPlace
from drkit.sources.bucket.inventory import Entry
from drkit.sources.vault.reading import key_of
from drkit.sources.vault.verifying import compared, share
from drkit.tools.s3 import Object

PLACE = BucketPlace("vault", "kept")


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def entry(number: int, version: str | None = "v1", size: int = 5) -> Entry:
    return Entry(digest(number), key_of(PLACE, digest(number)), size, version)


def there(
    number: int, version: str | None = "v1", size: int = 5, *, latest: bool = True, deleted: bool = False
) -> Object:
    return Object(key_of(PLACE, digest(number)), size, "", "", version, latest, deleted)


def faults(entries: list[Entry], listed: list[Object]) -> list[tuple[str, bool]]:
    return [(fault, hidden) for _, fault, hidden in compared(PLACE, entries, listed)]


def test_what_is_there_at_its_size_and_version() -> None:
    listed = [there(1), there(2), there(4)]
    assert faults([entry(1), entry(4)], listed) == [("", False), ("", False)]


def test_what_is_gone_cut_or_another_version() -> None:
    listed = [there(2, size=4), there(3, "v2")]
    assert faults([entry(1), entry(2), entry(3), entry(4)], listed) == [
        (f"{digest(1)} is gone from the vault", False),
        (f"{digest(2)} has 4 bytes in the vault and should have 5", False),
        (f"{digest(3)} (version v1) is gone from the vault", True),
        (f"{digest(4)} is gone from the vault", False),
    ]


def test_versions_below_others_are_there_and_hidden() -> None:
    listed = [
        there(1, "v2", latest=True, deleted=True), there(1, latest=False),
        there(2, "v2", 9), there(2, latest=False),
    ]  # fmt: skip
    assert faults([entry(1), entry(2)], listed) == [("", True), ("", True)]


def test_without_a_version_only_what_is_there_now_counts() -> None:
    listed = [there(1, "v2", deleted=True), there(1, latest=False), there(2, None)]
    assert faults([entry(1, None), entry(2, None)], listed) == [
        (f"{digest(1)} is gone from the vault", False), ("", False),
    ]  # fmt: skip


def test_two_versions_of_one_blob_are_both_looked_for() -> None:
    listed = [there(1, "v2"), there(1, "v1", latest=False)]
    assert [fault for fault, _ in faults([entry(1, "v1"), entry(1, "v2")], listed)] == ["", ""]


def test_a_share_of_the_data() -> None:
    entries = [Entry("sha256:" + f"{number * 2654435761 % (1 << 256):064x}", "", 1) for number in range(700)]
    parts = [{e.digest for e in entries if share(f"{n}/7", 700)(e)} for n in range(1, 8)]
    assert sum(map(len, parts)) == 700
    assert set().union(*parts) == {e.digest for e in entries}
    assert all(parts)
    assert not any(map(share(None, 700), entries))
    assert all(map(share("100%", 700), entries))
    assert all(map(share("1K", 700), entries)), "more than there is"
    some = sum(map(share("50%", 700), entries))
    assert 200 < some < 500
