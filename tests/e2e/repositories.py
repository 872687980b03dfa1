"""What happens to a restic repository while somebody else works on it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.commands import Drkit, wait_for


def locks(drkit: Drkit) -> list[Path]:
    """The locks on the repository; not what is still being written."""
    return [path for path in (drkit.repository / "locks").iterdir() if "-tmp-" not in path.name]


@contextlib.contextmanager
def checking(drkit: Drkit) -> Iterator[subprocess.Popen[bytes]]:
    """A restic that reads the whole repository so slowly that its exclusive lock outlives the test."""
    words = ("--no-cache", "check", "--read-data", "--limit-download", "1")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(drkit.home),
        "RESTIC_REPOSITORY": str(drkit.repository),
        "RESTIC_PASSWORD_FILE": str(drkit.restic_password),
    }
    outputs = subprocess.DEVNULL
    process = subprocess.Popen(["restic", *words], env=environment, stdout=outputs, stderr=outputs)
    try:
        wait_for(lambda: locks(drkit), "restic has locked the repository")
        yield process
    finally:
        process.kill()
        process.wait()
