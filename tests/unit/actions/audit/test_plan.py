"""What an audit makes of three sorted streams."""

from __future__ import annotations

import random

import pytest

from drkit.actions.audit.plan import NOWHERE, Account, FaultKind, Seen, Verdict, in_words, joined, judge
from drkit.blobs.live import Stored


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def test_one_pass_over_three_streams() -> None:
    needed = [(digest(1), 10), (digest(2), None), (digest(4), 40)]
    stored = [Stored(digest(1), 10, 5.0), Stored(digest(3), 30, 6.0), Stored(digest(4), 41, 7.0)]
    linked = [(digest(1), ("a", "b")), (digest(2), ("a",)), (digest(5), ("c",))]
    found = list(joined(needed, stored, linked))
    assert found == [
        Seen(digest(1), True, 10, stored[0], ("a", "b")),
        Seen(digest(2), True, None, None, ("a",)),
        Seen(digest(3), False, None, stored[1], ()),
        Seen(digest(4), True, 40, stored[2], ()),
        Seen(digest(5), False, None, None, ("c",)),
    ]
    assert [judge(seen) for seen in found] == [
        Verdict.SOUND,
        Verdict.MISSING,
        Verdict.UNREFERENCED,
        Verdict.WRONG_SIZE,
        Verdict.LEFT,
    ]
    assert judge(found[1], lambda each: each == digest(2)) is Verdict.LEFT


@pytest.mark.parametrize("seed", range(20))
def test_every_digest_is_seen_once_in_order(seed: int) -> None:
    dice = random.Random(seed)
    one, two, three = ({digest(dice.randrange(60)) for _ in range(dice.randrange(40))} for _ in range(3))
    found = list(
        joined(
            ((each, 1) for each in sorted(one)),
            (Stored(each, 1, 0) for each in sorted(two)),
            ((each, ("p",)) for each in sorted(three)),
        )
    )
    assert [seen.digest for seen in found] == sorted(one | two | three)
    assert {seen.digest for seen in found if seen.needed} == one
    assert {seen.digest for seen in found if seen.stored} == two
    assert {seen.digest for seen in found if seen.projects} == three


def test_an_account_by_project() -> None:
    account = Account(young_since=100)
    account.count(Seen(digest(1), True, 10, Stored(digest(1), 10, 1), ("a", "b")), Verdict.SOUND)
    account.count(Seen(digest(2), False, None, Stored(digest(2), 20, 200), ("b",)), Verdict.UNREFERENCED)
    account.count(Seen(digest(3), False, None, Stored(digest(3), 30, 1), ()), Verdict.UNREFERENCED)
    account.count(Seen(digest(4), True, 5, None, ("a",)), Verdict.MISSING)
    account.count(Seen(digest(5), False, None, None, ("a",)), Verdict.LEFT)
    account.count(Seen(digest(6), True, None, None, ("a",)), Verdict.LEFT)
    account.fault(FaultKind.MISSING, digest(4), ("a",))
    account.fault(FaultKind.DANGLING_ROW, "3 rows", count=3)
    assert (account.total.blobs, account.total.bytes) == (3, 60), "what two projects have counts once"
    assert (account.total.unreferenced, account.total.unreferenced_bytes) == (2, 50)
    assert (account.young, account.young_bytes) == (1, 20)
    assert (account.referenced, account.left) == (2, 1)
    assert account.projects["a"].blobs == 1
    assert account.projects["b"].unreferenced_bytes == 20
    assert account.projects[NOWHERE].unreferenced_bytes == 30
    assert account.projects["a"].faults == {FaultKind.MISSING: 1}
    assert account.total.faults == {FaultKind.MISSING: 1, FaultKind.DANGLING_ROW: 3}
    assert [fault.said for fault in account.faults] == [digest(4), "3 rows"]
    assert in_words(account.total.faults) == "1 blob is missing, 3 rows lead nowhere"
