"""What goes wrong while nobody looks: within one period of the schedule somebody is told, and afterwards it
goes on by itself; nothing that was sealed is lost.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.commands import Drkit, wait_for
from tests.e2e.repositories import checking
from tests.e2e.test_bad_input import only, set_in
from tests.inbox import Inbox

TOP = Path(__file__).parents[2]
_SMALL = "size=160m"


@dataclass
class Watched:
    """A site whose scheduler runs, with a clock of its own; state and repository are small disks."""

    drkit: Drkit
    inbox: Inbox
    process: subprocess.Popen[bytes]
    log: Path
    days: Path
    passed: int = 0

    @property
    def ended(self) -> list[int]:
        """With which exit codes backups ended so far."""
        marker = "backup ended with exit code "
        lines = [line for line in self.log.read_text().splitlines() if marker in line]
        return [int(line.rpartition(marker)[2]) for line in lines]

    def let_a_day_pass(self) -> int:
        """The backup of the next day, which the scheduler starts; returns its exit code."""
        before = len(self.ended)
        self.passed += 1
        self.days.write_text(str(self.passed))
        wait_for(lambda: len(self.ended) > before, "the scheduler has made a backup")
        assert self.process.poll() is None, "it runs on"
        return self.ended[-1]


@contextlib.contextmanager
def disk(path: Path) -> Iterator[Path]:
    """A small file system of its own, with what is in the directory."""
    path.mkdir(exist_ok=True)
    kept = path.with_name(f"{path.name}.kept")
    path.rename(kept)
    path.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", _SMALL, "none", str(path)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", str(path)], check=True)
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def watched(fresh: Drkit, root_only: None, tmp_path: Path) -> Iterator[Watched]:
    fresh.change(only("secrets"))
    fresh.change(set_in("repository", lock_wait="1s"))
    with contextlib.ExitStack() as stack:
        inbox = stack.enter_context(Inbox())
        stack.enter_context(disk(fresh.state))
        stack.enter_context(disk(fresh.repository))
        address = f"json://127.0.0.1:{inbox.port}"
        fresh.change(
            lambda document: document.update(schedule={"backup": "0 2 * * *"}, notify={"urls": [address]})
        )
        days, log = tmp_path / "days", tmp_path / "log"
        days.write_text("0")
        with log.open("wb") as written:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.leaping", str(fresh.config), str(days)],
                stdout=subprocess.DEVNULL,
                stderr=written,
                cwd=TOP,
                env=fresh.surroundings,
                start_new_session=True,
            )
        try:
            wait_for(lambda: "next at" in log.read_text(), "the scheduler runs")
            yield Watched(fresh, inbox, process, log, days)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def filled(path: Path) -> None:
    """Leave no room on the disk that a directory is on."""
    with contextlib.suppress(OSError), (path / "filling").open("wb", buffering=0) as file:
        while file.write(b"0" * 65536):
            pass
    with contextlib.suppress(OSError), (path / "filling-2").open("wb", buffering=0) as file:
        while file.write(b"0" * 512):
            pass


@contextlib.contextmanager
def full(path: Path) -> Iterator[None]:
    filled(path)
    try:
        yield
    finally:
        for each in path.glob("filling*"):
            each.unlink()


@contextlib.contextmanager
def read_only(path: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(path)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(path)], check=True)


@contextlib.contextmanager
def database_away(drkit: Drkit) -> Iterator[None]:
    before = drkit.config.read_text()
    drkit.change(
        lambda document: document.update(
            database=[{"name": "registry", "dsn": "host=127.0.0.1 port=1 dbname=registry connect_timeout=2"}]
        )
    )
    try:
        yield
    finally:
        drkit.config.write_text(before)


@contextlib.contextmanager
def password_revoked(drkit: Drkit) -> Iterator[None]:
    before = drkit.restic_password.read_text()
    drkit.restic_password.write_text("another\n")
    try:
        yield
    finally:
        drkit.restic_password.write_text(before)


@contextlib.contextmanager
def configuration_broken(drkit: Drkit) -> Iterator[None]:
    before = drkit.config.read_text()
    drkit.config.write_text("nonsense = \n")
    try:
        yield
    finally:
        drkit.config.write_text(before)


@contextlib.contextmanager
def locked(drkit: Drkit) -> Iterator[None]:
    with checking(drkit):
        yield
    # Killed as it was: whoever knows that says so, for drkit does not touch what is not its own.
    drkit.restic("unlock", "--remove-all")


FAULTS: dict[str, Callable[[Drkit], AbstractContextManager[object]]] = {
    "the state directory's disk is full": lambda drkit: full(drkit.state),
    "the repository's disk is full": lambda drkit: full(drkit.repository),
    "the repository is read-only": lambda drkit: read_only(drkit.repository),
    "the repository is locked": locked,
    "the database is away": database_away,
    "the password was changed": password_revoked,
}


def hears_more(inbox: Inbox, heard: int, what: str) -> None:
    wait_for(lambda: len(inbox.titles) > heard, what)


@pytest.mark.slow
def test_each_fault_is_told_within_a_period_and_gone_with_its_cause(watched: Watched) -> None:
    drkit, inbox = watched.drkit, watched.inbox
    assert watched.let_a_day_pass() == 0, watched.log.read_text()
    sealed = drkit.sealed()
    assert len(sealed) == 1
    for name, fault in FAULTS.items():
        heard = len(inbox.titles)
        with fault(drkit):
            assert watched.let_a_day_pass() != 0, name
            hears_more(inbox, heard, f"somebody was told: {name}")
        heard = len(inbox.titles)
        assert watched.let_a_day_pass() == 0, name
        hears_more(inbox, heard, f"it was told that it works again: {name}")
        newest, *rest = drkit.sealed()
        assert rest == sealed, name
        sealed = [newest, *rest]

    heard = len(inbox.titles)
    with configuration_broken(drkit):
        assert watched.let_a_day_pass() == 0, "by the configuration that was kept"
    assert any("the old one is kept" in title for title in inbox.titles[heard:])
    assert len(drkit.sealed()) == len(sealed) + 1

    inbox.answer = 500
    drkit.restic_password.rename(drkit.restic_password.with_suffix(".away"))
    assert watched.let_a_day_pass() != 0
    drkit.restic_password.with_suffix(".away").rename(drkit.restic_password)
    inbox.answer, heard = 200, len(inbox.titles)
    assert watched.let_a_day_pass() == 0
    hears_more(inbox, heard, "messages arrive again")

    assert drkit.run("verify").code == 0
