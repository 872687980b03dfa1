"""zot over restored layouts: nobody but drkit reads from it, nobody writes, and it is gone at the end."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from drkit.errors import ToolFailed
from drkit.sandbox.hiding import NOTHING_HIDDEN, Hidden
from drkit.tools import mutual_tls
from drkit.tools.mutual_tls import MutualTls
from drkit.tools.process import execute
from drkit.tools.process.command import Command, find_program, which
from drkit.tools.process.server import Server
from drkit.tools.registry import Client, Loopback

_PATIENCE_SECONDS = 60.0
# Somebody may take a port between the moment that it was found free and zot's start.
_ATTEMPTS = 3


def find(configured: Path | None = None) -> str | None:
    """The program, which may be `configured`; None where none is found. Raises ToolMissing for that one."""
    if configured is not None:
        return find_program(str(configured), hint="see registry_program in [drill]")
    return which("zot")


def version(program: str) -> str:
    """Which program and version it is, as it says itself; raises ToolFailed."""
    done = execute.check(Command((program, "--version")))
    # It logs that as an object in JSON.
    for line in f"{done.text}\n{done.stderr}".splitlines():
        with contextlib.suppress(ValueError, AttributeError):
            if commit := json.loads(line).get("commit"):
                return f"zot {commit}"
    return "zot"


def settings(root: Path, port: int, tls: MutualTls) -> str:
    """Its configuration: nothing is collected or linked anew, and only the one client may read."""
    policy = {"users": [tls.user], "actions": ["read"]}
    return json.dumps(
        {
            "storage": {"rootDirectory": str(root), "dedupe": False, "gc": False},
            "http": {
                "address": "127.0.0.1",
                "port": str(port),
                "tls": {"cert": str(tls.certificate), "key": str(tls.key), "cacert": str(tls.authority)},
                "accessControl": {"repositories": {"**": {"policies": [policy]}}},
            },
            "log": {"level": "error"},
        },
        indent=1,
    )


@contextlib.contextmanager
def serving(
    root: Path, directory: Path, hidden: Hidden = NOTHING_HIDDEN, program: str = "zot"
) -> Iterator[Loopback]:
    """Where zot serves the layouts below `root`, seeing nothing that is `hidden`; raises ToolFailed."""
    own = directory / "zot"
    own.mkdir(mode=0o700)
    tls = mutual_tls.make(own, "drkit")
    for last in (*(False,) * (_ATTEMPTS - 1), True):
        port = _free_port()
        file, log = own / "config.json", own / "log"
        file.write_text(settings(root, port, tls), encoding="utf-8")
        log.unlink(missing_ok=True)
        server = Server(Command((program, "serve", str(file)), mounts=hidden.mounts), log)
        try:
            if not _wait(server, Loopback(port, tls.client)) and not last:
                continue
            if not server.running:
                raise ToolFailed(f"zot did not start: {server.last_words()}")
            hidden.prove(server.pid)
            yield Loopback(port, tls.client)
            return
        finally:
            server.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(server: Server, address: Loopback) -> bool:
    """Until it answers; False where it has ended before. Raises ToolFailed where it does neither."""
    end = time.monotonic() + _PATIENCE_SECONDS
    with Client(address) as client:
        while not client.answers():
            if not server.running:
                return False
            if time.monotonic() > end:
                raise ToolFailed(f"zot does not answer: {server.last_words()}")
            time.sleep(0.05)
    return True
