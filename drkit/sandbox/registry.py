"""A private registry over restored blobs: read-only, on a Unix socket, gone when the block ends."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from drkit.errors import ToolFailed, ToolMissing
from drkit.tools.command import Command
from drkit.tools.registry import Client
from drkit.tools.server import Server

# Debian's name for distribution's program, then its own.
_PROGRAMS = ("docker-registry", "registry")
_PATIENCE_SECONDS = 30.0


def find() -> str:
    """The registry program; raises ToolMissing."""
    for name in _PROGRAMS:
        found = shutil.which(name)
        if found:
            return found
    raise ToolMissing(
        "there is no registry program to serve restored images with",
        hint="install the package docker-registry",
    )


def settings(root: Path, socket: Path) -> str:
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
            "http": {"net": "unix", "addr": str(socket)},
        },
        indent=1,
    )


@contextlib.contextmanager
def serving(root: Path, directory: Path) -> Iterator[Path]:
    """The socket of a registry that serves the tree below `root`; raises ToolMissing, ToolFailed."""
    socket = directory / "registry.sock"
    file = directory / "registry.yml"
    file.write_text(settings(root, socket), encoding="utf-8")
    # It takes 4 MiB for each blob that it opens: collecting that less often halves its work.
    command = Command((find(), "serve", str(file)), {"GOGC": "400"})
    server = Server(command, directory / "registry.log")
    try:
        _wait(server, socket)
        yield socket
    finally:
        server.stop()


def _wait(server: Server, socket: Path) -> None:
    end = time.monotonic() + _PATIENCE_SECONDS
    with Client(socket=socket) as client:
        while not client.answers():
            if not server.running:
                raise ToolFailed(f"the sandbox's registry did not start: {server.last_words()}")
            if time.monotonic() > end:
                raise ToolFailed(f"the sandbox's registry does not answer: {server.last_words()}")
            time.sleep(0.05)
