"""A private registry over restored blobs: read-only, on a Unix socket, gone when the block ends."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drkit.errors import ToolFailed, ToolMissing
from drkit.sandbox.hiding import NOTHING_HIDDEN, Hidden
from drkit.tools.process import execute
from drkit.tools.process.command import Command, find_program, which
from drkit.tools.process.server import Server
from drkit.tools.registry import Client

# Debian's name for distribution's program, then its own.
_PROGRAMS = ("docker-registry", "registry")
_PATIENCE_SECONDS = 30.0


def find(configured: Path | None = None) -> str:
    """The registry program, which may be `configured`; raises ToolMissing."""
    if configured is not None:
        return find_program(str(configured), hint="see registry_program in [drill]")
    for name in _PROGRAMS:
        found = which(name)
        if found:
            return found
    raise ToolMissing(
        "there is no registry program to serve restored images with",
        hint="install the package docker-registry",
    )


def version(program: str) -> str:
    """Which program and version it is, as it says itself; raises ToolFailed."""
    said = execute.check(Command((program, "--version"))).text.split()
    return f"{Path(program).name} {said[-1]}" if said else Path(program).name


def directory_settings(root: Path) -> Mapping[str, Any]:
    """What the configuration says of a storage tree in a directory."""
    return {"filesystem": {"rootdirectory": str(root)}}


def settings(images: Mapping[str, Any], address: Path) -> str:
    """The registry's configuration (YAML, of which JSON is a part); `images` says where those are.

    No cache: a cached descriptor would hide a blob that is not there.
    """
    return json.dumps(
        {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                **images,
                "maintenance": {"readonly": {"enabled": True}, "uploadpurging": {"enabled": False}},
            },
            "http": {"net": "unix", "addr": str(address)},
        },
        indent=1,
    )


@contextlib.contextmanager
def serving(
    images: Mapping[str, Any],
    directory: Path,
    hidden: Hidden = NOTHING_HIDDEN,
    program: str | None = None,
) -> Iterator[Path]:
    """The socket of a registry that serves what `settings` says of images, and sees nothing `hidden`.

    Raises ToolMissing, ToolFailed.
    """
    address = directory / "registry.sock"
    file = directory / "registry.yml"
    # The key of a bucket may be in it.
    file.touch(mode=0o600)
    file.write_text(settings(images, address), encoding="utf-8")
    # It takes 4 MiB for each blob that it opens: to collect that only when there is much halves its work.
    memory = {"GOGC": "off", "GOMEMLIMIT": "256MiB"}
    # From 3.0 on it sends traces to a collector, and fills its log where there is none.
    quiet = {"OTEL_TRACES_EXPORTER": "none"}
    command = Command((program or find(), "serve", str(file)), memory | quiet, mounts=hidden.mounts)
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
