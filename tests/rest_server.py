"""A repository behind an HTTP server that speaks restic's REST protocol, by rclone."""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests import needs

_LISTENING = re.compile(r"http://127\.0\.0\.1:\d+/")


@contextlib.contextmanager
def serving(directory: Path, *options: str) -> Iterator[str]:
    """Serve a repository's directory; yields its address for restic.

    With the option `--append-only` it refuses every removal but those of locks.
    """
    command = [needs.program("rclone"), "serve", "restic", "--addr", "127.0.0.1:0", "-v", *options]
    with tempfile.NamedTemporaryFile() as said:
        process = subprocess.Popen([*command, str(directory)], stdout=subprocess.DEVNULL, stderr=said)
        try:
            yield f"rest:{_address(process, Path(said.name))}"
        finally:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], said: Path) -> str:
    deadline = time.monotonic() + 60
    while (found := _LISTENING.search(said.read_text())) is None:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found[0]
