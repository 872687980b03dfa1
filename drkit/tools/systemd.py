"""Telling systemd how a service fares (sd_notify(3)), and feeding its watchdog."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

_SOCKET, _WATCHDOG, _WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"


@dataclass
class Supervisor:
    """Who started us and wants to hear of us: at `address`, where that is not empty.

    `watchdog` is after how many seconds without a sign of life it ends us; None where it does not.
    """

    address: str = ""
    watchdog: float | None = None
    _fed: float = field(default=0.0, repr=False)
    _status: str = field(default="", repr=False)

    def ready(self, status: str) -> None:
        """All is up, or up again after `reloading`."""
        self._status = status
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """The configuration is being read."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1\nSTATUS=ends")

    def status(self, text: str) -> None:
        """What is being done, for `systemctl status`; said once."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def alive(self) -> None:
        """A sign of life; as often as one likes, for it is passed on when the watchdog needs it."""
        now = time.monotonic()
        if self.watchdog is not None and now - self._fed >= self.watchdog / 4:
            self._fed = now
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self.address:
            return
        # An abstract socket's name begins with a zero byte.
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as outgoing:
                # Whoever does not listen must not hold us up.
                outgoing.settimeout(1)
                outgoing.sendto(text.encode(), address)
        except OSError as error:
            log.debug("systemd cannot be told %s: %s", text.splitlines()[0], error.strerror)


def supervisor(environment: MutableMapping[str, str], pid: int) -> Supervisor:
    """Who started the process `pid`, from its environment.

    What says so is taken out: programs that we start (PostgreSQL, for one) would speak in our name.
    """
    address = environment.pop(_SOCKET, "")
    microseconds = environment.pop(_WATCHDOG, "")
    meant = environment.pop(_WATCHDOG_PID, "") or str(pid)
    watched = microseconds.isdigit() and int(microseconds) > 0 and meant == str(pid)
    return Supervisor(address, int(microseconds) / 1e6 if watched else None)
