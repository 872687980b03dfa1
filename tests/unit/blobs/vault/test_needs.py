"""What of a vault nobody needs: decided from sorted streams, and never a blob too many."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from drkit.blobs.inventory import Entry
from drkit.blobs.vault.needs import UnreferencedObject, Waiting, surplus
from drkit.registry import storage
from drkit.tools.s3.bucket import NULL_VERSION, Object

OLD, SEALED, NEW = "2026-11-20T00:00:00Z", datetime(2026, 11, 21, tzinfo=UTC), "2026-11-22T00:00:00Z"
TOP = f"vault/{storage.BLOBS}/sha256/"
DIGESTS = sorted(f"sha256:{hashlib.sha256(bytes([number])).hexdigest()}" for number in range(30))


def key(number: int) -> str:
    return f"vault/{storage.blob_name(DIGESTS[number])}"


def entry(number: int, version: str | None = None) -> Entry:
    return Entry(DIGESTS[number], key(number), 10, version)


def stored(number: int, version: str | None = None, **more: object) -> Object:
    found = Object(key(number), 10, "etag", OLD, version)
    return found._replace(**more)  # type: ignore[arg-type]


def names(listed: Iterable[Object], needed: Iterable[Entry]) -> list[tuple[str, str | None, bool]]:
    waiting = Waiting()
    return [(each.key, each.version, each.blob) for each in surplus(listed, needed, TOP, SEALED, waiting)]


def test_what_no_entry_needs() -> None:
    listed = [stored(number) for number in range(5)]
    assert names(listed, [entry(1), entry(3)]) == [(key(number), None, True) for number in (0, 2, 4)]
    assert names(listed, map(entry, range(5))) == []
    # What is needed and gone is another's business.
    assert names(listed[:2], map(entry, range(1, 5))) == [(key(0), None, True)]


def test_only_blobs_are_ever_named() -> None:
    others = ["vault/docker/registry/v2/blobs/sha256/odd", "vault/drkit/site.json", "x"]
    # A tree that somebody has put into the tree.
    others.append(f"{TOP}{storage.blob_name(DIGESTS[0])}")
    assert names([Object(each, 1, "", OLD) for each in sorted(others)], []) == []


def test_a_later_backup_that_has_not_ended_keeps_its_blobs() -> None:
    waiting = Waiting()
    listed = [stored(0), stored(1, modified=NEW), stored(2, "v", modified=NEW, deleted=True)]
    assert list(surplus(listed, [], TOP, SEALED, waiting)) == [
        UnreferencedObject(key(0), None, 10, blob=True)
    ]
    assert (waiting.blobs, waiting.bytes) == (1, 10)


def test_versions_of_a_blob_that_is_needed() -> None:
    listed = [
        stored(0, "marker", deleted=True, latest=True),
        stored(0, "bad", latest=False),
        stored(0, "good", latest=False),
        stored(0, "good too", latest=False),
    ]
    needed = [entry(0, "good"), entry(0, "good too")]
    assert names(listed, needed) == [(key(0), "marker", False), (key(0), "bad", False)]


@pytest.mark.parametrize("needed", [entry(0), entry(0, "gone")])
def test_a_blob_whose_version_is_not_sure_keeps_all(needed: Entry) -> None:
    assert names([stored(0, "one"), stored(0, "two", latest=False)], [needed]) == []


def test_all_versions_of_a_blob_that_nobody_needs() -> None:
    listed = [stored(0, "one"), stored(0, "two", latest=False), stored(1, "three")]
    assert names(listed, [entry(1, "three")]) == [(key(0), "one", True), (key(0), "two", False)]


def test_a_null_version_may_have_been_put_over_what_was_good() -> None:
    """Named alike by the inventory and by whoever overwrites it: what lies below it stays."""
    listed = [stored(1, NULL_VERSION, modified=NEW), stored(1, "v", latest=False)]
    assert names(listed, [entry(1, NULL_VERSION)]) == []
