"""What a directory stands on: findmnt's answer (util-linux, findmnt(8)) as a value."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from drkit.errors import ToolFailed
from drkit.tools.process import execute
from drkit.tools.process.command import Command, find_program

# Given a directory, relative to the top, and its names sorted: those that are to be read, in that order.
Order = Callable[[PurePosixPath, list[str]], list[str]]

_COLUMNS = "TARGET,SOURCE,FSROOT,FSTYPE"


@dataclass(frozen=True)
class Mount:
    """What is mounted at `target`; `root` is the path in its file system that is seen there."""

    target: str
    fstype: str
    source: str
    root: str


@dataclass(frozen=True)
class Standing:
    """The file system of a directory, and where the directory is in it.

    `inside` is the path from the file system's own root, which a mount of a subvolume or a bind mount hides;
    `device` is the kernel's number of the device, whatever its name in /dev, and "0:n" where there is none.
    `below` lists what is mounted further down: other file systems, which no snapshot of this one contains.
    """

    path: Path
    fstype: str
    source: str
    inside: PurePosixPath
    below: tuple[Mount, ...] = ()
    device: str = ""


def look(path: Path) -> Standing:
    """What an existing directory, given by its real path, stands on; raises ToolFailed."""
    findmnt = find_program("findmnt", hint="it is part of util-linux")
    here = Command(
        (findmnt, "--json", "--nofsroot", "--output", f"{_COLUMNS},MAJ:MIN", "--target", str(path))
    )
    every = Command((findmnt, "--json", "--list", "--nofsroot", "--output", _COLUMNS))
    return parse(execute.check(here).text, execute.check(every).text, path)


def parse(here: str, every: str, path: Path) -> Standing:
    """From findmnt's JSON for the directory's own mount, and for all mounts; raises ToolFailed."""
    found = _filesystems(here)
    # systemd's sandbox mounts a place over itself, with all that is mounted below: that shows twice.
    if not found or any(each != found[0] for each in found):
        raise ToolFailed(f"findmnt does not say what {path} stands on", hint="look with `findmnt --target`")
    mount = found[0]
    relative = path.relative_to(mount["target"])
    # Of two at one place the later is seen.
    below = {m["target"]: _mount(m) for m in _filesystems(every) if path in Path(m["target"]).parents}
    return Standing(
        path,
        mount["fstype"],
        mount["source"],
        PurePosixPath(mount["fsroot"]) / relative,
        tuple(below[target] for target in sorted(below)),
        mount["maj:min"].strip(),
    )


def _mount(entry: dict[str, Any]) -> Mount:
    return Mount(entry["target"], entry["fstype"], entry["source"] or "", entry["fsroot"] or "/")


def _filesystems(text: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.loads(text)["filesystems"]
    except (ValueError, KeyError, TypeError):
        raise ToolFailed(f"findmnt's answer is not what it should be: {text.strip()[:60]!r}") from None
    return found
