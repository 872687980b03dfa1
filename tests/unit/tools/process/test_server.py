"""How servers run beside us, and end; on real processes."""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from drkit.tools.process.server import Server
from tests.unit.tools.living import alive, sh, soon


def test_a_server(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "echo one; echo two >&2; echo three; echo four; while :; do sleep 0.05; done"
    server = Server(sh(script), log)
    assert soon(lambda: "four" in log.read_text())
    assert server.running
    assert server.program == "sh"
    assert server.last_words() == "two / three / four"
    server.stop()
    assert not server.running
    assert not alive(server.pid)
    server.stop()


def test_a_server_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """The kernel ties a child to a thread; a drill starts its servers from threads that end."""
    servers: list[Server] = []

    def start() -> None:
        servers.append(Server(sh("echo ready; exec sleep 1000"), tmp_path / "log"))
        assert soon(lambda: "ready" in (tmp_path / "log").read_text())

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert servers[0].running
    servers[0].stop()


def test_a_server_that_does_not_want_to_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stubborn = sh("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    server = Server(stubborn, tmp_path / "log", grace=0.2)
    assert soon(lambda: "ready" in (tmp_path / "log").read_text())
    server.stop()
    assert not alive(server.pid)
    assert "sh did not end within 0 seconds: killed" in caplog.messages


def test_a_server_stops_by_the_signal_that_its_command_names(tmp_path: Path) -> None:
    command = sh("trap 'echo got INT; exit' INT; echo ready; sleep 1000 & wait")
    server = Server(replace(command, end_signal=signal.SIGINT), tmp_path / "log")
    assert soon(lambda: "ready" in (tmp_path / "log").read_text())
    server.stop()
    assert server.last_words() == "ready / got INT"
