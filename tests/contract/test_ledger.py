"""Ledgers in a real repository: from several hosts, damaged, newer, taken in; none is ever a point."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit.actions.expire.run import remove
from drkit.actions.reread import recording
from drkit.actions.reread.budget import Limits
from drkit.actions.reread.checkpoints import Checkpoints
from drkit.actions.reread.packs import Packs
from drkit.errors import RepositoryDamaged
from drkit.model.reread import LedgerSummary, Proved
from drkit.points import seals
from drkit.points.catalog import Catalog
from drkit.points.ledger import keeping
from drkit.points.ledger.joining import Reader
from drkit.points.ledger.keeping import Book
from drkit.state.directory import State
from drkit.tools.restic.repository import Repository
from tests.contract.test_restic_locks import SHARED, holding

SITE = "registry.example.com"
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
OLDEST = NOW - 400 * DAY


def catalog(repository: Repository, home: Path) -> Catalog:
    state = State(home)
    state.prepare()
    access = replace(repository.access, cache=state.cache)
    return Catalog(Repository(access), SITE, state, state.catalog / "primary", "primary")


def book(of: Catalog, at: datetime, home: Path) -> Book:
    return Book(of, of.snapshots(), Reader("run", "verify", home.name, at), OLDEST, home)


def written(of: Catalog, at: datetime, home: Path, right: set[int]) -> LedgerSummary:
    """A run that has listed ten blobs of 100 bytes, and read some."""
    made = book(of, at, home)
    ledger = made.round("vault", "here")
    for number in range(10):
        digest = f"sha256:{number:0<64x}"
        ledger.listed(digest, 100)
        if number in right:
            ledger.spool.right(digest, 100)
    ledger.all_listed()
    found = made.write()
    made.remove()
    return found


def read(summary: LedgerSummary) -> dict[datetime, int]:
    (store,) = summary.stores
    return {each.at: each.items for each in store.read}


def test_what_several_hosts_have_read_comes_together_and_none_piles_up(
    repository: Repository, tmp_path: Path
) -> None:
    one, two = catalog(repository, tmp_path / "s1"), catalog(repository, tmp_path / "s2")
    written(one, NOW - 9 * DAY, tmp_path / "first", {0, 1, 2})
    # Both begin before either has written.
    books = [book(one, NOW - 2 * DAY, tmp_path / "left"), book(two, NOW - DAY, tmp_path / "right")]
    for number, each in enumerate(books):
        ledger = each.round("vault", "here")
        for item in range(10):
            ledger.listed(f"sha256:{item:0<64x}", 100)
        ledger.all_listed()
        ledger.spool.right(f"sha256:{number + 2:0<64x}", 100)
        each.write()
    assert len(keeping.current(one.snapshots())) == 2
    found, doubts = keeping.summaries(one, one.snapshots())
    assert found is not None
    assert (found.at, doubts) == (NOW - DAY, ()), "until they are brought together the later one counts"
    merged = written(two, NOW, tmp_path / "third", {5})
    assert read(merged) == {NOW - 9 * DAY: 2, NOW - 2 * DAY: 1, NOW - DAY: 1, NOW: 1}
    assert len(one.snapshots()) == 1
    assert one.look().points == (), "a ledger is no recovery point"
    assert keeping.summaries(one, one.snapshots()) == (merged, ())


def test_what_a_host_may_not_remove_is_removed_by_expire_and_never_the_newest(
    repository: Repository, tmp_path: Path
) -> None:
    here = catalog(repository, tmp_path / "state")
    written(here, NOW - DAY, tmp_path / "first", {1})
    (old,) = here.snapshots()
    tags = (seals.SITE + SITE, seals.LEDGER, seals.MERGED + old.id)
    newest = here.repository.save_stream([b"{}"], "ledger.json", tags, SITE).snapshot
    assert keeping.superseded(here.snapshots()) == (old.id,)
    remove(here, [], here.look(), timedelta(days=1000))
    assert [each.id for each in here.snapshots()] == [newest]
    remove(here, [], here.look(), timedelta(days=1000))
    assert [each.id for each in here.snapshots()] == [newest]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"drkit", "it is not understood"),
        (json.dumps({"drkit_ledger": 2}).encode() + b"\n", "it was made by a newer drkit"),
    ],
)
def test_one_that_is_torn_or_newer_counts_for_nothing_and_stays(
    repository: Repository, tmp_path: Path, content: bytes, said: str
) -> None:
    here = catalog(repository, tmp_path / "state")
    tags = (seals.SITE + SITE, seals.LEDGER)
    odd = here.repository.save_stream([content], "vault.ledger", tags, SITE).snapshot
    made = book(here, NOW, tmp_path / "first")
    assert made.found.doubts == (
        f"the ledger of what was read (snapshot {odd[:8]}) counts for nothing: {said}",
    )
    assert read(written(here, NOW, tmp_path / "second", {3})) == {NOW: 1}
    assert odd in {each.id for each in here.snapshots()}, "whoever understands it may mend it"
    found, doubts = keeping.summaries(here, here.snapshots())
    assert found is not None
    assert [doubt for doubt in doubts if odd[:8] in doubt] == list(doubts) != []


def test_a_newer_summary_counts_for_nothing(repository: Repository, tmp_path: Path) -> None:
    here = catalog(repository, tmp_path / "state")
    written(here, NOW, tmp_path / "first", {1})
    content = {"schema": 2, "at": NOW.isoformat(), "host": "h", "stores": []}
    tags = (seals.SITE + SITE, seals.LEDGER)
    here.repository.save_stream([json.dumps(content).encode()], "ledger.json", tags, SITE)
    found, doubts = keeping.summaries(here, here.snapshots())
    assert found is not None
    assert found.schema == 1
    assert doubts[0].endswith("it was made by a newer drkit")


def data_packs(repository: Repository) -> list[Path]:
    return sorted(path for path in Path(repository.access.url, "data").rglob("*") if path.is_file())


def test_packs_are_proved_by_restic_and_only_those_that_it_reads(
    repository: Repository, tmp_path: Path
) -> None:
    for number in range(3):
        name = f"f{number}"
        (tmp_path / name).write_bytes(bytes([number]) * 1000)
        repository.save_files(tmp_path, [name], [seals.SITE + SITE], SITE)
    known = {path.name: path.stat().st_size for path in data_packs(repository)}
    # In no index: restic reads it not, and ends well.
    stray = Path(repository.access.url, "data", "aa", f"{'aa':0<64}")
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"x" * 100)
    made = book(catalog(repository, tmp_path / "state"), NOW, tmp_path / "book")
    packs = Packs(repository, made.round("packs", "primary"))
    packs.check("1/1")
    assert (packs.found.packs, packs.found.every_pack) == (len(known), len(known) + 1)
    (store,) = made.write().stores
    assert store.read == (Proved(NOW, len(known), sum(known.values())),)
    assert store.unread == (Proved(OLDEST, 1, 100),)


def test_a_damaged_pack_is_wrong_and_the_others_stay_as_they_were(
    repository: Repository, tmp_path: Path
) -> None:
    for number in range(3):
        name = f"f{number}"
        (tmp_path / name).write_bytes(bytes([number]) * 1000)
        repository.save_files(tmp_path, [name], [seals.SITE + SITE], SITE)
    victim = data_packs(repository)[0]
    data = bytearray(victim.read_bytes())
    data[10] ^= 1
    victim.chmod(0o600)
    victim.write_bytes(data)
    made = book(catalog(repository, tmp_path / "state"), NOW, tmp_path / "book")
    packs = Packs(repository, made.round("packs", "primary"))
    with pytest.raises(RepositoryDamaged) as caught:
        packs.check("1/1")
    assert caught.value.packs == (victim.name,)
    (store,) = made.write().stores
    assert (store.wrong_items, store.wrong_bytes, store.read) == (1, len(data), ())


def test_damage_that_one_of_two_hosts_has_found_is_not_hidden_by_the_other(
    repository: Repository, tmp_path: Path
) -> None:
    site = catalog(repository, tmp_path / "state")
    first, second = (book(site, NOW - n * DAY, tmp_path / f"host{n}") for n in (2, 1))
    for each in (first, second):
        ledger = each.round("vault", "here")
        ledger.listed(f"sha256:{1:0<64x}", 100)
        ledger.all_listed()
        (ledger.spool.wrong if each is first else ledger.spool.right)(f"sha256:{1:0<64x}", 100)
        each.write()
    found, _ = keeping.summaries(site, site.snapshots())
    assert found is not None
    assert [store.wrong_items for store in found.stores] == [1]
    assert [store.wrong_items for store in written(site, NOW, tmp_path / "next", set()).stores] == [0]


def blobs_of(vault: str, made: Book, right: set[int]) -> None:
    """List five blobs of a vault, some of them read."""
    ledger = made.round("vault", vault)
    for number in range(5):
        ledger.listed(f"sha256:{number:0<64x}", 100)
    ledger.all_listed()
    for number in right:
        ledger.spool.right(f"sha256:{number:0<64x}", 100)


def test_the_ledger_of_another_vault_is_left_as_it_is(repository: Repository, tmp_path: Path) -> None:
    """A wrong [vault] must not cost what was proved of the right one, and proves nothing of it."""
    here = catalog(repository, tmp_path / "state")
    first = book(here, NOW - 9 * DAY, tmp_path / "first")
    blobs_of("right", first, {0, 1, 2})
    first.write()
    wrong = book(here, NOW - 5 * DAY, tmp_path / "wrong")
    blobs_of("wrong", wrong, {3, 4})
    assert [store.where for store in wrong.write().stores] == ["wrong"]
    # A run that knows of no vault keeps both, and tells of the one that was listed last.
    other = book(here, NOW - 2 * DAY, tmp_path / "other")
    other.round("packs", "primary").spool.right(f"{7:0<64x}", 100)
    assert [store.where for store in other.write().stores] == ["primary", "wrong"]
    again = book(here, NOW, tmp_path / "again")
    blobs_of("right", again, {2})
    (_packs, store) = again.write().stores
    assert store.where == "right"
    assert {each.at: each.items for each in store.read} == {NOW - 9 * DAY: 2, NOW: 1}
    assert len(keeping.current(here.snapshots())) == 1
    late = book(here, NOW + 800 * DAY, tmp_path / "late")
    blobs_of("right", late, set())
    late.write()
    assert {file.where for file in book(here, NOW + 801 * DAY, tmp_path / "last").found.files} == {
        "primary",
        "right",
    }, "what nobody has listed for years is forgotten"


def test_what_is_stored_amid_a_run_counts_if_it_is_killed_and_goes_when_it_ends(
    repository: Repository, tmp_path: Path
) -> None:
    here = catalog(repository, tmp_path / "state")
    written(here, NOW - 9 * DAY, tmp_path / "first", {1, 2, 3})
    made = book(here, NOW, tmp_path / "run")
    ledger = made.round("vault", "here")
    ledger.listed(f"sha256:{1:0<64x}", 100)
    ledger.spool.right(f"sha256:{1:0<64x}", 100)
    moments = Checkpoints(made, timedelta(0))
    moments.look()
    # Not all was listed yet: what was not read stays as old as it was.
    found, _ = keeping.summaries(here, here.snapshots())
    assert found is not None
    assert read(found) == {NOW - 9 * DAY: 2, NOW: 1}
    for number in range(2, 10):
        ledger.listed(f"sha256:{number:0<64x}", 100)
    ledger.all_listed()
    ledger.spool.right(f"sha256:{2:0<64x}", 100)
    moments.look()
    assert read(made.write()) == {NOW - 9 * DAY: 1, NOW: 2}
    made.remove()
    assert len(here.snapshots()) == 1, "each has taken in the one before it"
    Checkpoints(made, timedelta(days=1)).look()
    assert len(here.snapshots()) == 1


def test_a_lock_keeps_older_ledgers_and_what_was_read_is_stored_all_the_same(
    repository: Repository, tmp_path: Path
) -> None:
    """A backup that has waited for a verify begins before its ledger is stored."""
    here = catalog(repository, tmp_path / "state")
    written(here, NOW - DAY, tmp_path / "first", {1})
    with holding(here.repository, *SHARED):
        made = book(here, NOW, tmp_path / "second")
        blobs_of("here", made, {2})
        found, unrecorded = recording.write(made, None)
    assert ([store.where for store in found], unrecorded) == (["here"], "")
    assert list((tmp_path / "second").glob("written-*")) == [], "it is stored: no copy of it takes room here"
    assert len(keeping.superseded(here.snapshots())) == 1


def test_packs_are_read_in_stretches_and_what_was_read_is_stored_between_them(
    repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    repository.save_files(tmp_path, ["file"], [seals.SITE + SITE], SITE)
    here = catalog(repository, tmp_path / "state")
    made = book(here, NOW, tmp_path / "book")
    packs = Packs(repository, made.round("packs", "primary"))
    # A stretch of no time: each share is the smallest, and is stored before the next one is read.
    packs.check_longest_unread(Limits(bytes=1 << 30), Checkpoints(made, timedelta(0)))
    (stored,) = keeping.current(here.snapshots())
    left = book(here, NOW + DAY, tmp_path / "next").found
    assert left.snapshots == (stored.id,)
    (file,) = left.files
    states = [file.marks[mark].state for _, mark, _ in file.records()]
    assert states.count("read") == packs.found.packs > 1
