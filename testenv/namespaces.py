"""Network namespaces that stand for machines on one network; their addresses exist in them alone. As root."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

_NETWORK = "10.87.0"


@dataclass(frozen=True)
class Machine:
    """A namespace: its name for `ip`, and its address on the network."""

    namespace: str
    address: str

    def command(self, argv: Sequence[object]) -> list[str]:
        """The command that runs another one there."""
        return ["ip", "netns", "exec", self.namespace, *map(str, argv)]

    def received(self) -> int:
        """How many bytes have come in over the network."""
        path = "/sys/class/net/eth0/statistics/rx_bytes"
        return int(_run(*self.command(["cat", path])))

    @contextmanager
    def owning(self, address: str) -> Iterator[None]:
        """The machine has this address for itself meanwhile, and does not reach whoever else has it."""
        words = ("-n", self.namespace, "address")
        _ip(*words, "add", f"{address}/32", "dev", "lo")
        try:
            yield
        finally:
            _ip(*words, "delete", f"{address}/32", "dev", "lo")


# Hands a socket that listens in a namespace to who has none there.
_LISTEN = """
import socket, sys
there = socket.create_server((sys.argv[2], int(sys.argv[3])), backlog=256)
socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b"x"], [there.fileno()])
"""


@contextmanager
def serving(machine: Machine, address: str, port: int, service: tuple[str, int]) -> Iterator[None]:
    """Let a service of this host be that of a machine, at that address of its own, while this lasts."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        words = [sys.executable, "-c", _LISTEN, theirs.fileno(), address, port]
        subprocess.run(machine.command(words), pass_fds=[theirs.fileno()], check=True)
        _, (descriptor,), *_ = socket.recv_fds(ours, 1, 1)
    with socket.socket(fileno=descriptor) as listening:
        thread = threading.Thread(target=_accept, args=(listening, service))
        thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def _accept(listening: socket.socket, service: tuple[str, int]) -> None:
    with contextlib.suppress(OSError):  # shut down
        while True:
            client, _ = listening.accept()
            threading.Thread(target=_pass_both, args=(client, service), daemon=True).start()


def _pass_both(client: socket.socket, service: tuple[str, int]) -> None:
    with client, contextlib.suppress(OSError), socket.create_connection(service) as there:
        back = threading.Thread(target=_pass_on, args=(there, client), daemon=True)
        back.start()
        _pass_on(client, there)
        back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 18):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def network(count: int) -> Iterator[tuple[Machine, ...]]:
    """So many machines on a bridge that stands in a namespace of its own; all go again."""
    tag = f"drkit-{os.getpid()}-{secrets.token_hex(3)}"
    with ExitStack() as stack:
        switch = _namespace(stack, f"{tag}-switch")
        _ip("-n", switch, "link", "add", "bridge0", "up", "type", "bridge")
        machines = []
        for number in range(1, count + 1):
            name = _namespace(stack, f"{tag}-{number}")
            peer = ("peer", "name", f"port{number}", "netns", switch)
            _ip("link", "add", "eth0", "netns", name, "type", "veth", *peer)
            _ip("-n", switch, "link", "set", f"port{number}", "master", "bridge0", "up")
            address = f"{_NETWORK}.{number}"
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
            machines.append(Machine(name, address))
        yield tuple(machines)


def _namespace(stack: ExitStack, name: str) -> str:
    _ip("netns", "add", name)
    stack.callback(_ip, "netns", "delete", name)
    return name


def _ip(*words: str) -> str:
    return _run("ip", *words)


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
