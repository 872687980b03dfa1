"""Which recipients are there after a change."""

from __future__ import annotations

import pytest

from drkit.actions.keys.rotate import changed
from drkit.errors import ConfigError, UsageError

BEFORE = ("age1aaa operator", "age1bbb drill host", "ssh-ed25519 AAAA root@host", "age1ccc")


@pytest.mark.parametrize(
    ("remove", "gone"),
    [
        ("operator", 0),
        ("age1aaa", 0),
        ("drill host", 1),
        ("root@host", 2),
        ("ssh-ed25519 AAAA", 2),
        ("age1ccc", 3),
    ],
)
def test_by_name_or_by_key(remove: str, gone: int) -> None:
    assert changed(BEFORE, [], [remove]) == tuple(t for n, t in enumerate(BEFORE) if n != gone)


def test_a_name_may_pass_to_another_key() -> None:
    after = changed(BEFORE, ["age1new operator"], ["operator"])
    assert after == (*BEFORE[1:], "age1new operator")


@pytest.mark.parametrize("add", ["age1aaa another name", "age1new operator", "ssh-ed25519 AAAA x"])
def test_neither_a_key_nor_a_name_twice(add: str) -> None:
    with pytest.raises(UsageError, match="is a recipient already"):
        changed(BEFORE, [add], [])


def test_an_unknown_one_cannot_go() -> None:
    with pytest.raises(UsageError) as caught:
        changed(BEFORE, [], ["nobody"])
    assert caught.value.message == 'no recipient is called "nobody"'
    assert caught.value.hint == "there is: operator, drill host, root@host, age1ccc"


def test_somebody_stays() -> None:
    with pytest.raises(ConfigError, match="no recipient would be left"):
        changed(BEFORE[:1], [], ["operator"])


def test_what_was_cut_off_is_run_again_as_it_was() -> None:
    """The configuration has changed already, some of the points have not."""
    there = {*BEFORE, "age1new second"}
    after = changed(BEFORE, ["age1new second"], ["operator"], there)
    assert changed(after, ["age1new second"], ["operator"], there) == after
    taken = changed(BEFORE, ["age1new operator"], ["operator"], there)
    assert changed(taken, ["age1new operator"], ["operator"], there) == taken


def test_of_an_unknown_one_no_point_knows_either() -> None:
    with pytest.raises(UsageError, match='no recipient is called "nobody"'):
        changed(BEFORE, [], ["nobody"], BEFORE)


def test_a_name_of_another_key_is_taken_with_points_as_well() -> None:
    with pytest.raises(UsageError, match="is a recipient already"):
        changed(BEFORE, ["age1new operator"], [], BEFORE)
