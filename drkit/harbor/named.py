"""What somebody has set up in Harbor, by kind and name, as sorted lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from drkit.errors import RestoreDamaged
from drkit.tools import json_lines

FILE_NAME = "names.jsonl"


class Named(NamedTuple):
    """A project, a member of one, a robot, a policy or the like; sorted by kind and name."""

    kind: str
    name: str


def to_lines(names: Iterable[Named]) -> Iterator[bytes]:
    """One JSON object a line, in the order given, in pieces of about 64 KiB."""
    return json_lines.together(f"{json.dumps(each._asdict())}\n".encode() for each in names)


def from_file(path: Path) -> Iterator[Named]:
    """The names in a file of JSON lines; raises RestoreDamaged for anything else."""
    for lines in json_lines.whole(json_lines.pieces(path), "the list of names"):
        for line in filter(None, lines.split(b"\n")):
            try:
                yield Named(**json.loads(line))
            except (ValueError, TypeError):
                raise RestoreDamaged("the list of names cannot be read", hint="use another point") from None
