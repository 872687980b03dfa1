"""How far reading is, in a sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from drkit.reports import sentences
from tests.samples import status

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)


def test_how_far_reading_is_and_when_it_will_be_done() -> None:
    packs, vault = status(NOW).repositories[0].reread
    assert sentences.reread(packs, NOW) == (
        "repository primary: 1.0 GiB, half of it read within 2 d, longest unread for 2 d; nothing is overdue"
    )
    assert sentences.reread(vault, NOW) == (
        "vault s3://vault/kept: 85.0 GiB, 6 % never read, half of it read within 1 d, longest unread"
        " for 100 d; 12 % overdue, done in 1 d at today's pace (10.0 GiB a day)"
    )


def test_what_nobody_reads_is_never_done_and_what_is_damaged_is_said() -> None:
    _, vault = status(NOW).repositories[0].reread
    idle = replace(vault, pace=0, done_at=None, estimated=True, never_bytes=1, overdue_bytes=vault.bytes - 1)
    assert sentences.reread(idle, NOW) == (
        "vault s3://vault/kept: about 85.0 GiB, less than 1 % never read, half of it read within 1 d,"
        " longest unread for 100 d; more than 99 % overdue, and nothing was read in the last 7 days"
    )
    damaged = replace(vault, wrong_bytes=1 << 30, oldest_seconds=None, done_at=NOW + timedelta(hours=5))
    assert sentences.reread(damaged, NOW) == (
        "vault s3://vault/kept: 85.0 GiB, 1.0 GiB of it damaged, 6 % never read, half of it read within"
        " 1 d; 12 % overdue, done in 5 h at today's pace (10.0 GiB a day)"
    )


def test_of_what_drills_have_restored_nothing_is_overdue() -> None:
    _, vault = status(NOW).repositories[0].reread
    said = sentences.reread(replace(vault, kind="blobs", where="primary", half_seconds=None), NOW)
    assert said == "blobs in primary, restored by drills: 85.0 GiB, 6 % never read, longest unread for 100 d"


def test_without_an_objective_nobody_says_that_nothing_is_overdue() -> None:
    packs, _ = status(NOW).repositories[0].reread
    said = sentences.reread(replace(packs, target_seconds=None), NOW)
    assert said == "repository primary: 1.0 GiB, half of it read within 2 d, longest unread for 2 d"
