"""Which locks are proven to be those of dead restics of ours."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit.tools.process.command import Completed
from drkit.tools.restic import locking
from drkit.tools.restic.locking import Lock, Machine, Record
from drkit.tools.restic.output import holder

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
LOCK = Lock("a" * 64, NOW - timedelta(minutes=3), False, "registry", 17, 0)
BOOT, MACHINE = "this boot", "this machine"
RECORD = Record(
    path=Path("record"),
    host="registry",
    pid=17,
    user=0,
    sharing=True,
    started=NOW - timedelta(minutes=4),
    boot=BOOT,
    machine=MACHINE,
    device=1,
    inode=2,
    seen=NOW - timedelta(minutes=2),
)


HERE = Machine(BOOT, MACHINE)


def test_ours() -> None:
    assert locking.proven([RECORD], [LOCK], NOW, HERE) == (LOCK,)


@pytest.mark.parametrize(
    "other",
    [
        replace(LOCK, host="another"),
        replace(LOCK, pid=18),
        replace(LOCK, user=1000),
        # Our restic was a backup.
        replace(LOCK, exclusive=True),
        # Made before ours began, and written anew after ours had ended.
        replace(LOCK, time=NOW - timedelta(minutes=5)),
        replace(LOCK, time=NOW - timedelta(seconds=30)),
    ],
)
def test_somebody_elses(other: Lock) -> None:
    assert locking.proven([RECORD], [other], NOW, HERE) == ()


def test_of_two_that_look_like_ours_one_is_not() -> None:
    """Two containers of one image run the same commands, with the same process numbers."""
    twin = replace(LOCK, id="b" * 64)
    assert locking.proven([RECORD], [LOCK, twin], NOW, HERE) == ()
    assert locking.proven([RECORD, RECORD], [LOCK, twin], NOW, HERE) == (LOCK, twin)


def test_after_the_machine_was_started_again() -> None:
    """Then a clone may have the same record: a living restic would write its lock anew."""
    before = replace(RECORD, boot="another boot")
    assert locking.proven([before], [LOCK], NOW, HERE) == ()
    assert locking.proven([before], [LOCK], NOW + timedelta(minutes=10), HERE) == (LOCK,)
    elsewhere = replace(before, machine="another machine")
    assert locking.proven([elsewhere], [LOCK], NOW + timedelta(minutes=10), HERE) == ()


def test_what_unlock_would_remove() -> None:
    """By its host name, or by its age as this machine's clock has it; no matter whether it lives."""
    far = replace(LOCK, id="b" * 64, host="another")
    assert locking.only_these([LOCK], [LOCK, far], NOW)
    old = replace(far, time=NOW - timedelta(minutes=31))
    assert not locking.only_these([LOCK], [LOCK, old], NOW)


def test_who_holds_a_lock_is_told_as_restic_tells_it() -> None:
    said = (
        "unable to create lock in backend: repository is already locked exclusively by PID 123 on registry"
        " by root (UID 0, GID 0)\nlock was created at 2026-11-28 22:14:06 (5m4.422432333s ago)\nstorage ID a"
    )
    assert holder(Completed(11, b"", said)) == "another restic (process 123 on registry, 5m4s old)"
    assert holder(Completed(11, b"", "locked")) == "another restic"
