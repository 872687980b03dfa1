"""Network namespaces that stand for machines on one network; their addresses exist in them alone. As root."""

from __future__ import annotations

import os
import secrets
import subprocess
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
