"""What the cases share: a place, and a report on the machine's second serial line."""

from __future__ import annotations

import platform
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.e2e import processes
from tests.e2e.commands import Drkit
from tests.vm.report import tell
from tests.vm.standing import initialised


def pytest_collection_finish(session: pytest.Session) -> None:
    tell(versions=versions())
    tell(planned=[item.nodeid for item in session.items])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    # What fails before or after a case fails the case.
    if report.when == "call" or report.outcome != "passed":
        lines = [line for line in report.longreprtext.splitlines() if line.startswith("E ")]
        first = lines[0].removeprefix("E").strip() if lines else ""
        tell(case=report.nodeid, outcome=report.outcome, seconds=report.duration, why=first)


def versions() -> str:
    """What is being tried."""
    words = ("dpkg-query", "--show", "--showformat=${Package} ${Version}, ")
    packages = ("lvm2", "thin-provisioning-tools", "zfsutils-linux", "zfs-dkms", "e2fsprogs", "xfsprogs")
    said = subprocess.run([*words, *packages], capture_output=True, text=True, check=True).stdout
    return f"Linux {platform.release()}, {said.rstrip(', ')}"


@pytest.fixture(scope="session")
def place() -> Path:
    """A directory for everything that is not on the volumes."""
    directory = Path(tempfile.mkdtemp(prefix="drkit-vm-", dir="/var/tmp"))
    directory.chmod(0o755)
    processes.adopt_orphans()
    return directory


@pytest.fixture(scope="session")
def prepared(place: Path) -> Drkit:
    """A drkit with an empty repository, only to be copied."""
    return initialised(place / "prepared")
