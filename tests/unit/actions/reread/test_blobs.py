"""Which blobs of a vault are read, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from drkit.actions.reread.blobs import LongestUnread, ShareOfBlobs
from drkit.actions.reread.budget import Limits
from drkit.blobs.inventory import Entry
from drkit.points.ledger import records
from drkit.points.ledger.joining import Reader, Round

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def entry(number: int) -> Entry:
    digest = f"sha256:{number:02x}{number:062x}"
    return Entry(digest, f"blobs/{number}", 100, f"v{number}", NOW + number * DAY)


def number_of(found: Entry) -> int:
    return int(found.key.rpartition("/")[2])


def ledger(directory: Path, at: datetime, old: Round | None = None) -> Round:
    """One that goes on with another."""
    files = []
    if old is not None:
        old.write(directory / "old.ledger")
        files.append(records.read(directory / "old.ledger"))
    name = f"{at:%m%d}"
    return Round("vault", "here", files, Reader("r", "verify", "h", at), NOW - 99 * DAY, directory / name)


def known(directory: Path) -> Round:
    """Of 20 blobs 0 to 4 were never read, 5 is damaged, and the others were read nine days ago."""
    first = ledger(directory, NOW - 9 * DAY)
    for number in range(20):
        first.listed(entry(number).digest, 100)
        if number > 5:
            first.spool.right(entry(number).digest, 100)
    first.spool.wrong(entry(5).digest, 100)
    first.all_listed()
    return ledger(directory, NOW, first)


def order(reading: LongestUnread) -> list[int]:
    for number in range(20):
        assert not reading.wants(entry(number)), "nothing is read before all were seen"
    found = list(reading.later())
    assert all(each == entry(number_of(each)) for each in found)
    return [number_of(each) for each in found]


def test_damaged_first_then_never_read_then_the_rest(tmp_path: Path) -> None:
    found = order(LongestUnread(known(tmp_path), Limits(), tmp_path / "unread.db"))
    assert found[0] == 5
    assert sorted(found[1:6]) == [0, 1, 2, 3, 4]
    assert sorted(found[6:]) == list(range(6, 20))
    assert not (tmp_path / "unread.db").exists()


def test_no_more_than_the_budget_and_one_in_any_case(tmp_path: Path) -> None:
    half = LongestUnread(known(tmp_path), Limits(bytes=550), tmp_path / "unread.db")
    assert sorted(order(half)) == [0, 1, 2, 3, 4, 5]
    other = tmp_path / "other"
    other.mkdir()
    spent = LongestUnread(known(other), Limits(timedelta(seconds=-1), -5), other / "unread.db")
    assert order(spent) == [5]


def test_a_share_is_read_at_once_and_what_came_of_it_is_written_down(tmp_path: Path) -> None:
    made = known(tmp_path)
    reading = ShareOfBlobs(made, lambda digest: digest == entry(3).digest)
    assert [number for number in range(20) if reading.wants(entry(number))] == [3]
    assert list(reading.later()) == []
    reading.judged(entry(3), right=True)
    reading.judged(entry(7), right=False)
    proofs = made.write(tmp_path / "new.ledger")
    assert {each.at: each.items for each in proofs.read} == {NOW - 9 * DAY: 13, NOW: 1}
    assert (sum(each.items for each in proofs.unread), proofs.wrong_items) == (4, 2)


def test_a_listing_that_ends_early_makes_nothing_newer(tmp_path: Path) -> None:
    made = known(tmp_path)
    half = LongestUnread(made, Limits(), tmp_path / "unread.db")
    for number in range(2):
        half.wants(entry(number))
    half.judged(entry(1), right=False)
    proofs = made.write(tmp_path / "new.ledger")
    assert (sum(each.items for each in (*proofs.read, *proofs.unread)), proofs.wrong_items) == (18, 2)
    assert records.read(tmp_path / "new.ledger").listed_at == NOW - 9 * DAY
