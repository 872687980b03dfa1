"""A private registry over restored blobs: read-only, on a Unix socket, gone when the block ends."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

from drkit.errors import ToolFailed, ToolMissing
from drkit.sandbox.hiding import NOTHING_HIDDEN, Hidden
from drkit.tools.process.command import Command, which
from drkit.tools.process.server import Server
from drkit.tools.registry import Client

# Debian's name for distribution's program, then its own.
_PROGRAMS = ("docker-registry", "registry")
_PATIENCE_SECONDS = 30.0


def find() -> str:
    """The registry program; raises ToolMissing."""
    for name in _PROGRAMS:
        found = which(name)
        if found:
            return found
    raise ToolMissing(
        "there is no registry program to serve restored images with",
        hint="install the package docker-registry",
    )


def settings(root: Path, address: Path) -> str:
    """The registry's configuration (YAML, of which JSON is a part).

    No cache: a cached descriptor would hide a blob that is not there.
    """
    return json.dumps(
        {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(root)},
                "maintenance": {"readonly": {"enabled": True}, "uploadpurging": {"enabled": False}},
            },
            "http": {"net": "unix", "addr": str(address)},
        },
        indent=1,
    )


@contextlib.contextmanager
def serving(root: Path, directory: Path, hidden: Hidden = NOTHING_HIDDEN) -> Iterator[Path]:
    """The socket of a registry that serves the tree below `root` and sees nothing `hidden`.

    Raises ToolMissing, ToolFailed.
    """
    address = directory / "registry.sock"
    file = directory / "registry.yml"
    file.write_text(settings(root, address), encoding="utf-8")
    # It takes 4 MiB for each blob that it opens: to collect that only when there is much halves its work.
    memory = {"GOGC": "off", "GOMEMLIMIT": "256MiB"}
    command = Command((find(), "serve", str(file)), memory, mounts=hidden.mounts)
    server = Server(command, directory / "registry.log")
    try:
        _wait(server, address)
        hidden.prove(server.pid)
        yield address
    finally:
        server.stop()


def _wait(server: Server, address: Path) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    with Client(address) as client:
        while not client.answers():
            if not server.running:
                raise ToolFailed(f"the sandbox's registry did not start: {server.last_words()}")
            if time.monotonic() > end:
                raise ToolFailed(f"the sandbox's registry does not answer: {server.last_words()}")
            time.sleep(0.05)
