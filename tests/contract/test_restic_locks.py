"""Locks: a living one is respected, a dead one stops nothing; on the real restic."""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from drkit.errors import RepositoryLocked, ToolFailed
from drkit.tools.restic.repository import Repository
from tests import needs, rest_server

TAG = "drkit"
HOST = "registry.example.com"
DATA = Random(1).randbytes(400_000)
# The directories of repositories that are reached by a server.
_SERVED: dict[str, Path] = {}


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
    return [path.name for path in (home(repository) / "locks").iterdir() if len(path.name) == 64]


def home(repository: Repository) -> Path:
    """The repository's directory, also where a server stands before it."""
    return _SERVED.get(repository.access.url) or Path(repository.access.url)


def wait_for_lock(repository: Repository, count: int = 1) -> None:
    deadline = time.monotonic() + 60
    while len(locks(repository)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def holding(
    repository: Repository, *arguments: str, below: tuple[str, ...] = (), expected: int = 1
) -> Iterator[Holder]:
    """Run restic, one that is none of drkit's, until it has its lock."""
    process = subprocess.Popen(
        [*below, needs.program("restic"), *arguments],
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
        wait_for_lock(repository, expected)
        yield holder
    finally:
        if process.poll() is None:
            holder.kill()
        if process.stdin is not None:
            process.stdin.close()


@pytest.fixture
def served(repository: Repository, tmp_path: Path) -> Iterator[Repository]:
    """The repository behind a server: only restic's own means reach it."""
    with rest_server.serving(Path(repository.access.url)) as url:
        _SERVED[url] = Path(repository.access.url)
        yield Repository(replace(repository.access, url=url))


# Reading 400 kB at 1 KiB/s takes far longer than any test; `check` locks out everybody else.
EXCLUSIVE = ("check", "--read-data", "--limit-download", "1")
# A backup whose input does not end; others may back up beside it.
SHARED = ("backup", "--stdin", "--stdin-filename", "slow")


def test_a_repository_that_somebody_else_has_to_himself(repository: Repository) -> None:
    saved = repository.save_stream([DATA], "x", [TAG], HOST)
    with holding(repository, *EXCLUSIVE):
        with pytest.raises(RepositoryLocked) as caught:
            repository.save_stream([b"y"], "y", [TAG], HOST)
        assert caught.value.message.endswith(
            f" holds a lock on {repository.access.url}, and still did after 0:00:01"
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


@contextmanager
def own_killed(repository: Repository) -> Iterator[int]:
    """A backup of ours whose restic is killed; yields the process's number."""
    assert repository.access.records is not None
    go_on = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield DATA
        go_on.wait(60)

    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(repository.save_stream, pieces(), "slow", [TAG], HOST)
        try:
            wait_for_lock(repository)
            (record,) = repository.access.records.glob("*.json")
            pid = int(record.read_text().splitlines()[1])
            os.killpg(pid, signal.SIGKILL)
        finally:
            go_on.set()
        with pytest.raises(ToolFailed, match="was killed by signal 9"):
            work.result()
    assert len(locks(repository)) == 1
    yield pid


def hasty(repository: Repository, tmp_path: Path) -> Repository:
    """Would wait for ten minutes; with records of its own."""
    wait = timedelta(minutes=10)
    return Repository(replace(repository.access, lock_wait=wait, records=tmp_path / "restics"))


def test_the_lock_of_a_killed_restic_of_ours_stops_nothing(
    repository: Repository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the next backup nor retention; and nobody waits for it."""
    ours = hasty(repository, tmp_path)
    with own_killed(ours) as pid:
        ours.prune()
    assert locks(repository) == []
    assert list((tmp_path / "restics").iterdir()) == []
    assert caplog.messages == [
        f"removed the lock that a killed restic of this host (process {pid}) has left on {ours.access.url}"
    ]


def test_where_restic_removes_locks_it_removes_ours(served: Repository, tmp_path: Path) -> None:
    """On a server nobody but restic can, and `unlock` removes all that it takes for stale."""
    ours = hasty(served, tmp_path)
    with own_killed(ours):
        ours.open()
    assert locks(served) == []


def test_where_restic_would_remove_another_lock_too_ours_stays(served: Repository, tmp_path: Path) -> None:
    ours = hasty(served, tmp_path)
    with own_killed(ours), holding(served, *SHARED, expected=2) as theirs:
        theirs.kill()
        both = set(locks(served))
        with pytest.raises(RepositoryLocked):
            Repository(replace(ours.access, lock_wait=timedelta(seconds=1))).prune()
        assert set(locks(served)) == both


@pytest.mark.parametrize("how", [SHARED, EXCLUSIVE], ids=["backup", "check"])
def test_a_lock_that_is_not_proven_to_be_ours_is_left_alone(
    repository: Repository, how: tuple[str, ...]
) -> None:
    """Its process is not seen here, which says nothing: it may be in another container of the same name."""
    repository.save_stream([DATA], "x", [TAG], HOST)
    with holding(repository, *how) as holder:
        holder.kill()
    there = locks(repository)
    with pytest.raises(RepositoryLocked) as caught:
        repository.prune()
    who = f"another restic \\(process {holder.process.pid} on {platform.node()}, [0-9ms]+ old\\) holds a lock"
    assert re.match(who, caught.value.message)
    assert "run `restic unlock` on its host" in caught.value.hint
    assert locks(repository) == there


def test_a_living_prune_of_another_container_keeps_its_lock(repository: Repository) -> None:
    """It has this host's name, and a process number that means nothing here."""
    unshare = needs.program("unshare")
    repository.save_stream([DATA], "x", [TAG], HOST)
    apart = (unshare, "--pid", "--fork", "--kill-child", "--mount-proc")
    with holding(repository, *EXCLUSIVE, below=apart) as holder:
        there = locks(repository)
        with pytest.raises(RepositoryLocked):
            repository.open()
        assert locks(repository) == there
        assert holder.process.poll() is None


def test_a_copy_of_the_state_directory_proves_nothing(repository: Repository, tmp_path: Path) -> None:
    """A clone of a machine has the records of its original, whose restic may live."""
    ours = hasty(repository, tmp_path)
    with own_killed(ours):
        shutil.copytree(tmp_path / "restics", tmp_path / "copied", copy_function=shutil.copy2)
        clone = Repository(replace(repository.access, records=tmp_path / "copied"))
        with pytest.raises(RepositoryLocked):
            clone.prune()
    assert len(locks(repository)) == 1


def test_a_lock_is_waited_for(repository: Repository) -> None:
    patient = Repository(replace(repository.access, lock_wait=timedelta(seconds=60)))
    with holding(repository, *SHARED) as holder:
        assert holder.process.stdin is not None
        holder.process.stdin.close()
        patient.prune()
