"""What a backup of a bucket has to do, decided from three listings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drkit.blobs.bucket import plan as bucket_plan
from drkit.blobs.bucket.plan import Blob, Missing, Nested, PlanCount
from drkit.blobs.inventory import Entry
from drkit.errors import ToolFailed
from drkit.registry import storage
from drkit.tools.s3.bucket import Object

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNTIL = NOW + timedelta(days=30)


TOP = f"{storage.BLOBS}/sha256/"


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def blob(number: int, size: int = 3, version: str | None = None, prefix: str = "") -> Blob:
    return Blob(digest(number), f"{prefix}{storage.blob_name(digest(number))}", size, version)


def entry(number: int, size: int = 3, version: str | None = None, until: datetime | None = None) -> Entry:
    return Entry(digest(number), f"v/{storage.blob_name(digest(number))}", size, version, until)


def plan(
    source: list[Blob], vault: list[Blob], before: list[Entry], until: datetime | None = None
) -> tuple[list[Entry | Missing], PlanCount]:
    tally = PlanCount()
    return list(bucket_plan.plan(source, vault, before, "v/", until, tally)), tally


def missing(number: int, size: int = 3) -> Missing:
    name = str(storage.blob_name(digest(number)))
    return Missing(digest(number), name, f"v/{name}", size)


def test_only_what_the_vault_lacks_is_copied() -> None:
    found, tally = plan([blob(1), blob(2)], [blob(2, prefix="v/"), blob(3, prefix="v/")], [])
    assert found == [missing(1), entry(2)]
    assert (tally.blobs, tally.bytes, tally.missing, tally.missing_bytes) == (2, 6, 1, 3)
    assert tally.vanished.count == 0


def test_another_size_is_another_blob() -> None:
    found, _ = plan([blob(1, size=3)], [blob(1, size=2, prefix="v/")], [])
    assert found == [missing(1)]


def test_what_was_there_and_is_gone_is_told() -> None:
    found, tally = plan([blob(1)], [], [entry(1)])
    assert found == [missing(1)]
    assert (tally.vanished.count, tally.vanished.first) == (1, (digest(1),))


def test_what_somebody_has_written_over_is_copied_anew() -> None:
    found, tally = plan([blob(1)], [blob(1, version="theirs", prefix="v/")], [entry(1, version="ours")])
    assert found == [missing(1)]
    assert tally.vanished.count == 1


def test_of_what_the_source_no_longer_has_nothing_is_said() -> None:
    found, tally = plan([blob(2)], [blob(2, prefix="v/")], [entry(1), entry(2)])
    assert found == [entry(2)]
    assert tally.vanished.count == 0


@pytest.mark.parametrize(
    ("before", "locked"),
    [
        (entry(1, version="a", until=UNTIL), True),
        (entry(1, version="a", until=UNTIL + timedelta(days=1)), True),
        (entry(1, version="a", until=UNTIL - timedelta(seconds=1)), False),
        (entry(1, version="a"), False),
    ],
)
def test_a_lock_that_lasts_is_kept(before: Entry, *, locked: bool) -> None:
    (found,), _ = plan([blob(1)], [blob(1, version="a", prefix="v/")], [before], UNTIL)
    assert isinstance(found, Entry)
    assert (found.locked_until is not None) is locked


def test_without_locks_nothing_is_locked() -> None:
    (found,), _ = plan(
        [blob(1)], [blob(1, version="a", prefix="v/")], [entry(1, version="a", until=UNTIL)], None
    )
    assert found == entry(1, version="a")


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_every_blob_of_the_source_is_there_or_copied(
    source: set[int], vault: set[int], before: set[int]
) -> None:
    found, tally = plan(
        [blob(number) for number in sorted(source)],
        [blob(number, prefix="v/") for number in sorted(vault)],
        [entry(number) for number in sorted(before)],
    )
    assert [each.digest for each in found] == [digest(number) for number in sorted(source)]
    copied = {each.digest for each in found if isinstance(each, Missing)}
    assert copied == {digest(number) for number in source - vault}
    assert tally.vanished.count == len(source & before - vault)


def listed(number: int, **changes: object) -> Object:
    made = Object(str(storage.blob_name(digest(number))), 3, "etag", "2026-01-01T00:00:00Z", "v1")
    return made._replace(**changes)  # type: ignore[arg-type]  # the names are those of the fields


def test_the_newest_version_counts_and_a_delete_marker_hides_it() -> None:
    objects = [
        listed(1, version="new"),
        listed(1, version="old", latest=False),
        listed(2, version="marker", deleted=True),
        listed(2, version="old", latest=False),
        Object("docker/registry/v2/blobs/sha256/ab/other", 1, "etag", "2026-01-01T00:00:00Z", None),
    ]
    assert [(found.digest, found.version) for found in bucket_plan.blobs(objects, TOP)] == [
        (digest(1), "new")
    ]


def test_a_tree_in_the_tree_is_passed_by_and_told() -> None:
    """It stands behind the blobs or between them, and its own are in order again."""
    inner = [listed(number)._replace(key=f"{TOP}{listed(number).key}") for number in (1, 2)]
    nested = Nested()
    found = bucket_plan.blobs([listed(1), *inner, listed(3)], TOP, nested)
    assert [each.digest for each in found] == [digest(1), digest(3)]
    assert (nested.count, nested.first) == (2, inner[0].key)


def test_a_listing_out_of_order_is_refused() -> None:
    with pytest.raises(ToolFailed) as caught:
        list(bucket_plan.blobs([listed(2), listed(1)], TOP))
    assert "out of order" in caught.value.message


def test_the_plan_reads_each_stream_once_and_no_further_than_it_must() -> None:
    source = iter([blob(1), blob(2)])
    tally = PlanCount()
    steps = bucket_plan.plan(source, iter([]), iter([]), "v/", None, tally)
    assert next(steps) == missing(1)
    assert next(source) == blob(2)
    assert replace(tally, missing_bytes=0).missing == 1
