"""A repository that does not answer: every restic ends, and says so."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drkit.errors import ToolFailed
from drkit.tools.restic.repository import Repository
from tests.unit.tools.living import alive, soon

TAG, HOST = "drkit", "registry.example.com"


def test_a_server_that_takes_connections_and_never_answers(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rest:http://127.0.0.1:{server.getsockname()[1]}/"
        access = replace(repository.access, url=url, stall_limit=timedelta(seconds=3), lock_wait=timedelta(0))
        with pytest.raises(ToolFailed) as caught:
            Repository(access).open()
    assert caught.value.message.startswith(f"restic cat on {url} made no progress for 0:0")
    assert "has made no progress for" in caplog.messages[0]


def test_a_server_that_freezes_in_the_midst_of_a_backup(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """restic's rclone backend speaks to a child of its own by pipes, as that for sftp does."""
    program = tmp_path / "bin" / "rclone"
    program.parent.mkdir()
    real = subprocess.run(["which", "rclone"], check=True, capture_output=True, text=True).stdout.strip()
    program.write_text(f'#!/bin/sh\necho $$ > {tmp_path}/pid\nexec {real} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    access = replace(
        repository.access, url=f"rclone:{repository.access.url}", stall_limit=timedelta(seconds=4)
    )
    frozen = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield os.urandom(1 << 20)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGSTOP)
        frozen.set()
        while True:
            yield os.urandom(1 << 20)

    with pytest.raises(ToolFailed, match=r"restic backup on .* made no progress for"):
        Repository(access).save_stream(pieces(), "big", [TAG], HOST)
    assert frozen.is_set()
    pid = int((tmp_path / "pid").read_text())
    assert soon(lambda: not alive(pid)), "what restic started ends with it"
