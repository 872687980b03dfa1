"""What systemd hears of a service."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from drkit.tools.systemd import Supervisor, supervisor


class Listening:
    """Who started the service."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        found = []
        try:
            while True:
                found.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    made = Listening(str(tmp_path / "notify"))
    yield made
    made.close()


def test_what_is_said_and_when(listening: Listening, tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "8000000", "PATH": "/bin"}
    found = supervisor(environment, 7)
    assert environment == {"PATH": "/bin"}, "what drkit starts must not speak in its name"
    assert found.watchdog == 8
    found.ready("next: backup")
    found.status("next: backup")
    found.status("backup runs")
    found.alive()
    found.alive()
    found.reloading()
    found.stopping()
    ready, status, fed, reloading, stopping = listening.heard()
    assert (ready, status, fed) == ("READY=1\nSTATUS=next: backup", "STATUS=backup runs", "WATCHDOG=1")
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert stopping.startswith("STOPPING=1")


def test_an_abstract_address() -> None:
    name = "drkit-test-of-notify"
    made = Listening(f"\0{name}")
    Supervisor(f"@{name}").ready("up")
    assert made.heard() == ["READY=1\nSTATUS=up"]
    made.close()


@pytest.mark.parametrize(
    "environment", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "5", "WATCHDOG_PID": "8"}]
)
def test_nobody_who_watches(environment: dict[str, str]) -> None:
    found = supervisor(environment, 7)
    assert (found.address, found.watchdog) == ("", None)
    found.ready("up")
    found.alive()


def test_who_does_not_listen_any_more_holds_nothing_up(tmp_path: Path) -> None:
    Supervisor(str(tmp_path / "gone"), 1.0).alive()
