"""Ledgers: what counts of several, what is sorted, counted and written, and what counts for nothing."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit.errors import RestoreDamaged
from drkit.model.reread import Proved, StoreProofs
from drkit.points.ledger import records
from drkit.points.ledger.joining import Reader, Round
from drkit.points.ledger.marks import Mark
from drkit.points.ledger.records import LedgerFile

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)
OLDEST = NOW - 400 * DAY


def digest(number: int) -> str:
    """Spread over all prefixes, in the order of the numbers."""
    return f"sha256:{number * 0x0123456789ABCDEF0123456789 << 136:064x}"


def run(
    directory: Path,
    at: datetime,
    *,
    there: Iterable[int] = (),
    right: Iterable[int] = (),
    wrong: Iterable[int] = (),
    old: Sequence[LedgerFile] = (),
    name: str = "run",
) -> tuple[LedgerFile, StoreProofs]:
    """One run's ledger of a vault, each blob of 100 bytes."""
    home = directory / f"{name}-{at:%m%d%H%M%S}"
    made = Round("vault", "here", old, Reader(name, "verify", name, at), OLDEST, home)
    for number in there:
        made.listed(digest(number), 100)
    if there:
        made.all_listed()
    for number in right:
        made.spool.right(digest(number), 100)
    for number in wrong:
        made.spool.wrong(digest(number), 100)
    proofs = made.write(home / "new.ledger")
    return records.read(home / "new.ledger"), proofs


def read(file: LedgerFile) -> dict[bytes, Mark]:
    return {name: file.marks[mark] for name, mark, _ in file.records()}


def marks(file: LedgerFile, *numbers: int) -> list[tuple[str, datetime]]:
    found = read(file)
    return [(m.state, m.at) for m in (found[records.name_of(digest(number))] for number in numbers)]


def test_the_first_ledger_says_since_when_what_was_not_read_may_be_there(tmp_path: Path) -> None:
    file, proofs = run(tmp_path, NOW, there=range(5), right=[1], wrong=[2])
    assert marks(file, 0, 1, 2) == [("unread", OLDEST), ("read", NOW), ("wrong", NOW)]
    assert proofs == StoreProofs(
        "vault", "here", (Proved(NOW, 1, 100),), (Proved(OLDEST, 3, 300),), wrong_items=1, wrong_bytes=100
    )
    assert (read(file)[records.name_of(digest(1))].run, file.listed_at) == ("run", NOW)


def test_what_is_new_was_not_there_when_it_was_listed_last_and_what_is_gone_goes(tmp_path: Path) -> None:
    first, _ = run(tmp_path, NOW - 9 * DAY, there=[1, 2, 3], right=[1, 2])
    second, _ = run(tmp_path, NOW, there=[2, 3, 4], right=[3], old=[first])
    assert marks(second, 2, 3, 4) == [("read", NOW - 9 * DAY), ("read", NOW), ("unread", NOW - 9 * DAY)]
    assert len(read(second)) == 3


def test_of_two_hosts_the_later_mark_counts_in_whatever_order_they_come(tmp_path: Path) -> None:
    base, _ = run(tmp_path, NOW - 9 * DAY, there=range(6), right=range(6))
    one, _ = run(tmp_path, NOW - 3 * DAY, there=range(6), right=[1, 2], wrong=[3], old=[base], name="one")
    two, _ = run(tmp_path, NOW - 2 * DAY, there=range(6), right=[2, 3], wrong=[1], old=[base], name="two")
    both, _ = run(tmp_path, NOW, there=range(6), old=[one, two])
    again, _ = run(tmp_path, NOW + DAY, there=range(6), old=[two, one])
    assert marks(both, 0, 1, 2, 3) == [
        ("read", NOW - 9 * DAY), ("wrong", NOW - 2 * DAY), ("read", NOW - 2 * DAY), ("read", NOW - 2 * DAY),
    ]  # fmt: skip
    assert read(both) == read(again)


def test_at_one_moment_the_worse_counts(tmp_path: Path) -> None:
    one, _ = run(tmp_path, NOW, there=[1], right=[1], name="one")
    two, _ = run(tmp_path, NOW, there=[1], wrong=[1], name="two")
    for old in ([one, two], [two, one]):
        file, _ = run(tmp_path, NOW + DAY * (1 + old.index(one)), there=[1], old=old)
        assert marks(file, 1) == [("wrong", NOW)]


def test_a_blob_of_which_one_version_is_wrong_is_wrong(tmp_path: Path) -> None:
    file, proofs = run(tmp_path, NOW, there=[1, 1], right=[1, 1], wrong=[1])
    assert marks(file, 1) == [("wrong", NOW)]
    assert proofs.wrong_items == 1


def test_what_was_read_in_the_future_was_never_read(tmp_path: Path) -> None:
    ahead, _ = run(tmp_path, NOW + 30 * DAY, there=[1, 2], right=[1])
    file, _ = run(tmp_path, NOW, there=[1, 2, 3], old=[ahead])
    assert marks(file, 1, 2, 3) == [("unread", OLDEST)] * 3


def test_what_was_not_listed_is_added_to_what_is_known(tmp_path: Path) -> None:
    first, _ = run(tmp_path, NOW - 9 * DAY, there=[1, 5], right=[1])
    file, proofs = run(tmp_path, NOW, right=[3, 5], old=[first])
    assert marks(file, 1, 3, 5) == [("read", NOW - 9 * DAY), ("read", NOW), ("read", NOW)]
    assert (file.listed_at, sum(each.bytes for each in proofs.read)) == (NOW - 9 * DAY, 300)


def test_what_was_removed_while_it_was_read_is_not_in_it(tmp_path: Path) -> None:
    file, _ = run(tmp_path, NOW, there=[1], right=[1, 2])
    assert list(read(file)) == [records.name_of(digest(1))]


def test_another_place_begins_anew(tmp_path: Path) -> None:
    old, _ = run(tmp_path, NOW - DAY, there=[1], right=[1])
    made = Round("vault", "elsewhere", [old], Reader("r", "verify", "h", NOW), OLDEST, tmp_path / "other")
    made.listed(digest(1), 100)
    assert made.is_first
    assert not made.counts, "nobody has said that this was all"
    made.all_listed()
    assert made.counts
    assert made.write(tmp_path / "other.ledger").unread == (Proved(OLDEST, 1, 100),)


def test_a_listing_that_ends_early_leaves_what_it_has_not_come_to_as_old_as_it_was(tmp_path: Path) -> None:
    first, _ = run(tmp_path, NOW - 9 * DAY, there=[1, 2, 3, 4], right=[4])
    half = Round("vault", "here", [first], Reader("r", "verify", "h", NOW), OLDEST, tmp_path / "half")
    for number in (1, 2):
        half.listed(digest(number), 100)
    half.spool.right(digest(1), 100)
    half.write(tmp_path / "half.ledger")
    file, _ = run(tmp_path, NOW + DAY, there=[1, 2, 3, 4], old=[records.read(tmp_path / "half.ledger")])
    assert marks(file, 1, 2, 3, 4) == [
        ("read", NOW), ("unread", OLDEST), ("unread", OLDEST), ("read", NOW - 9 * DAY),
    ]  # fmt: skip


def test_a_repository_is_the_same_whatever_hosts_call_it(tmp_path: Path) -> None:
    made = Round("packs", "primary", [], Reader("a", "verify", "a", NOW - DAY), OLDEST, tmp_path / "a")
    made.listed(digest(1), 100)
    made.all_listed()
    made.spool.right(digest(1), 100)
    made.write(tmp_path / "packs.ledger")
    old = [records.read(tmp_path / "packs.ledger")]
    other = Round("packs", "offsite", old, Reader("b", "verify", "b", NOW), OLDEST, tmp_path / "b")
    other.listed(digest(1), 100)
    other.all_listed()
    assert other.write(tmp_path / "other.ledger").read == (Proved(NOW - DAY, 1, 100),)


def test_what_a_long_run_has_read_does_not_outdo_what_was_found_wrong_meanwhile(tmp_path: Path) -> None:
    first, _ = run(tmp_path, NOW, there=[1, 2, 3], right=[3], wrong=[1])
    began = NOW - timedelta(hours=4)
    drill = Round("vault", "here", [first], Reader("d", "drill", "d", began, NOW), OLDEST, tmp_path / "drill")
    for number in (1, 2):
        drill.spool.right(digest(number), 100)
    proofs = drill.write(tmp_path / "drill.ledger")
    assert (proofs.wrong_items, proofs.read) == (1, (Proved(began, 1, 100), Proved(NOW, 1, 100)))


def test_what_was_found_wrong_by_a_clock_that_is_ahead_stays_wrong_until_it_is_read(tmp_path: Path) -> None:
    ahead, _ = run(tmp_path, NOW + 30 * DAY, there=[1, 2], wrong=[1, 2])
    file, proofs = run(tmp_path, NOW, there=[1, 2], right=[2], old=[ahead])
    assert ([state for state, _ in marks(file, 1, 2)], proofs.wrong_items) == (["wrong", "read"], 1)


def test_the_turn_is_by_what_is_damaged_and_then_by_age(tmp_path: Path) -> None:
    first, _ = run(tmp_path, NOW - 9 * DAY, there=range(4), right=[0, 2, 3], wrong=[1])
    second, _ = run(tmp_path, NOW - 2 * DAY, there=range(4), right=[0], old=[first])
    made = Round("vault", "here", [second], Reader("r", "verify", "h", NOW), OLDEST, tmp_path / "third")
    turns = {number: made.listed(digest(number), 100) for number in range(5)}
    # The last is new: it was not there two days ago, when the first of all was read.
    assert sorted(turns, key=turns.__getitem__) == [1, 2, 3, 0, 4]
    assert (turns[2], turns[0]) == (turns[3], turns[4])


def test_a_mark_that_nothing_bears_any_more_is_gone(tmp_path: Path) -> None:
    file, _ = run(tmp_path, NOW - 100 * DAY, there=[1], right=[1])
    for day in range(99, 90, -1):
        file, _ = run(tmp_path, NOW - day * DAY, there=[1], right=[1], old=[file])
    assert len(file.marks) <= 4, "the last one's and this run's three"


def test_many_in_any_order_from_any_threads_order(tmp_path: Path) -> None:
    dice = random.Random(7)
    every = list(range(3000))
    some = dice.sample(every, 1500)
    file, proofs = run(tmp_path, NOW, there=every, right=some)
    good = {name for name, mark in read(file).items() if mark.state == "read"}
    assert good == {records.name_of(digest(number)) for number in some}
    assert [each.items for each in (*proofs.read, *proofs.unread)] == [1500, 1500]
    assert file.path.stat().st_size < 3000 * 18 + 2000


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 4097, 123_456_789, 10 << 40])
def test_a_size_is_nearly_kept(size: int) -> None:
    found = records.size_of(records.rounded(size))
    assert size - size / 1000 <= found <= size or size > 2047 << 31


def damaged(data: bytes, way: str) -> bytes:
    match way:
        case "cut":
            return data[:-30]
        case "cut by a record":
            return data[:-18]
        case "flipped":
            return data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]
        case "more":
            return data + b"\0" * 18
        case "newer":
            return data.replace(b'"drkit_ledger": 1', b'"drkit_ledger": 2')
        case "nothing":
            return b""
        case "a mark without a word":
            return data.replace(b'"marks": [', b'"marks": [[], ')
        case "deep":
            return b"[" * 100_000 + data
        case _:
            return b"\0" * len(data)


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("cut", "it is cut short"),
        ("cut by a record", "it was altered or cut: its hash is wrong"),
        ("flipped", "it was altered or cut: its hash is wrong"),
        ("more", "it was altered or cut: its hash is wrong"),
        ("newer", "it was made by a newer drkit"),
        ("nothing", "it is not understood"),
        ("a mark without a word", "it is not understood"),
        ("deep", "it is not understood"),
        ("noise", "it is not understood"),
    ],
)
def test_what_is_torn_altered_or_newer_counts_for_nothing(tmp_path: Path, way: str, said: str) -> None:
    file, _ = run(tmp_path, NOW, there=range(20), right=range(20))
    other = tmp_path / "damaged.ledger"
    other.write_bytes(damaged(file.path.read_bytes(), way))
    with pytest.raises(RestoreDamaged) as caught:
        records.read(other)
    assert caught.value.message == said


def test_what_is_not_sorted_counts_for_nothing(tmp_path: Path) -> None:
    names = [records.name_of(digest(number)) for number in (3, 2)]
    path = tmp_path / "wrong.ledger"
    records.write(path, "vault", "here", NOW, [Mark("read", NOW)], [(name, 0, 1) for name in names])
    with pytest.raises(RestoreDamaged, match="not sorted"):
        records.read(path)
