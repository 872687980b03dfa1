"""What is written down of attempts at verbs, and what a later one takes back."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit.model import ALL_DATA, SOME_DATA, STRUCTURE, Attempt
from drkit.state.attempts import note, read, recorder, superseded

AT = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
HOLDS = """
import sys, time
from pathlib import Path
from drkit.state.attempts import recorder
one = recorder(Path(sys.argv[1]), "drill", "full")
one.begin()
print("begun", flush=True)
time.sleep(600)
"""


def ended(verb: str, code: int, *, after: int = 0, scope: str = "", kind: str = "") -> Attempt:
    at = AT + timedelta(minutes=after)
    return Attempt(f"{verb}{after}", verb, scope, at, at + timedelta(minutes=1), code, kind)


def test_a_run_that_lives_is_running_and_one_that_was_killed_is_lost(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "begun\n"
            (attempt,) = read(tmp_path)
            assert (attempt.label, attempt.running, attempt.lost) == ("full drill", True, False)
        finally:
            os.kill(child.pid, signal.SIGKILL)
    (attempt,) = read(tmp_path)
    assert (attempt.running, attempt.lost) == (False, True)


def test_an_end_is_written_down_for_its_owner_alone(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        directory = tmp_path / "attempts"
        one = recorder(directory, "keys rotate")
        one.begin()
        one.end(7, kind="tool_failed", message="restic failed", subject="p")
    finally:
        os.umask(mask)
    (attempt,) = read(directory)
    assert (attempt.good, attempt.exit_code, attempt.message) == (False, 7, "restic failed")
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()} == {0o600}


def test_what_cannot_be_written_down_keeps_nothing_from_being_done(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "attempts").write_text("no directory")
    one = recorder(tmp_path / "attempts", "backup")
    one.begin()
    one.end(0)
    assert "cannot write down" in caplog.text


def test_nothing_stays_of_what_was_not_tried(tmp_path: Path) -> None:
    one = recorder(tmp_path, "drill", "full")
    one.begin()
    one.discard()
    assert list(tmp_path.iterdir()) == []


def test_the_last_of_each_is_kept(tmp_path: Path) -> None:
    for why_not in ("one", "two", ""):
        note(tmp_path, "notify", why_not)
        note(tmp_path, "metrics", "stays")
    assert sorted((a.verb, a.good) for a in read(tmp_path)) == [("metrics", False), ("notify", True)]


def test_a_success_takes_back_what_it_covers() -> None:
    lost = Attempt("x", "drill", "full", AT)
    quick_lost = Attempt("y", "drill", "quick", AT)
    full = ended("drill", 0, after=5, scope="full")
    quick = ended("drill", 0, after=5, scope="quick")
    assert superseded([lost, quick_lost, full], full) == (lost, quick_lost)
    assert superseded([lost, quick_lost, quick], quick) == (quick_lost,)
    assert superseded([lost], ended("backup", 0, after=5)) == ()
    assert superseded([lost], ended("drill", 5, after=5, scope="full")) == ()
    assert superseded([replace(lost, running=True)], full) == ()


def test_damage_that_was_read_is_taken_back_by_reading_everything() -> None:
    damage = replace(ended("verify", 7, kind="repository_damaged"), thorough=SOME_DATA)
    good = ended("verify", 0, after=5)
    for thorough, gone in ((STRUCTURE, ()), (SOME_DATA, ()), (ALL_DATA, (damage,))):
        assert superseded([damage], replace(good, thorough=thorough)) == gone
    structural = replace(damage, thorough=STRUCTURE)
    assert superseded([structural], good) == (structural,)
    failed = ended("verify", 11, after=5, kind="repository_locked")
    assert superseded([damage], failed) == ()
    assert superseded([ended("verify", 7, scope="offsite")], good) == ()
