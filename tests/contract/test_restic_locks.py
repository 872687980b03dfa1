"""Locks: a living one is respected, a dead one stops nothing; on the real restic."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from drkit.errors import (
    RepositoryLocked,
)
from drkit.tools.restic import Repository
from tests import needs

TAG = "drkit"
HOST = "registry.example.com"
DATA = Random(1).randbytes(400_000)


@dataclass(frozen=True)
class Holder:
    """A restic that holds a lock for as long as a test needs."""

    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """As a power cut would: the lock stays."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def locks(repository: Repository) -> list[str]:
    """The locks that are there; not those that are only being written."""
    return [path.name for path in Path(repository.access.url, "locks").iterdir() if len(path.name) == 64]


@contextmanager
def holding(repository: Repository, *arguments: str) -> Iterator[Holder]:
    """Run restic until it has its lock."""
    process = subprocess.Popen(
        [needs.program("restic"), *arguments],
        env={
            "PATH": os.environ["PATH"],
            "RESTIC_REPOSITORY": repository.access.url,
            "RESTIC_PASSWORD_FILE": str(repository.access.password_file),
            "RESTIC_CACHE_DIR": str(repository.access.cache),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    holder = Holder(process)
    try:
        deadline = time.monotonic() + 30
        while not locks(repository):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield holder
    finally:
        if process.poll() is None:
            holder.kill()
        if process.stdin is not None:
            process.stdin.close()


# Reading 400 kB at 1 KiB/s takes far longer than any test; `check` locks out everybody else.
EXCLUSIVE = ("check", "--read-data", "--limit-download", "1")
# A backup whose input does not end; others may back up beside it.
SHARED = ("backup", "--stdin", "--stdin-filename", "slow")


def test_a_repository_that_somebody_else_has_to_himself(repository: Repository) -> None:
    saved = repository.save_stream([DATA], "x", [TAG], HOST)
    with holding(repository, *EXCLUSIVE):
        with pytest.raises(RepositoryLocked) as caught:
            repository.save_stream([b"y"], "y", [TAG], HOST)
        assert caught.value.message == (
            f"another restic holds a lock on {repository.access.url}, and still did after 0:00:01"
        )
        with pytest.raises(RepositoryLocked):
            repository.prune()
        # Looking goes on.
        assert [found.id for found in repository.snapshots(TAG)] == [saved.snapshot]


def test_a_living_lock_is_never_removed(repository: Repository) -> None:
    with holding(repository, *SHARED) as holder:
        with pytest.raises(RepositoryLocked):
            repository.forget(["0123456789"])
        assert len(locks(repository)) == 1
        assert holder.process.poll() is None
        # A backup beside a backup is fine.
        repository.save_stream([b"y"], "y", [TAG], HOST)


@pytest.mark.parametrize("how", [SHARED, EXCLUSIVE], ids=["backup", "check"])
def test_the_lock_of_a_killed_restic_stops_nothing(
    repository: Repository, how: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the next backup, once the repository was opened, nor retention; and nobody waits for it."""
    hasty = Repository(replace(repository.access, lock_wait=timedelta(minutes=10)))
    hasty.save_stream([DATA], "x", [TAG], HOST)
    with holding(hasty, *how) as holder:
        holder.kill()
    hasty.open()
    hasty.save_stream([b"y"], "y", [TAG], HOST)
    hasty.prune()
    assert locks(repository) == []
    assert caplog.messages == [f"restic on {repository.access.url}: successfully removed 1 locks"]


def test_a_lock_is_waited_for(repository: Repository) -> None:
    patient = Repository(replace(repository.access, lock_wait=timedelta(seconds=30)))
    with holding(repository, *SHARED) as holder:
        assert holder.process.stdin is not None
        holder.process.stdin.close()
        patient.prune()
