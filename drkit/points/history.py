"""What a seal tells of the other points that the repository had when it was stored; pure.

A list of recovery points needs the manifest of every seal and the report of every drill, and each is a
snapshot of its own: restic would be started once for each. So a seal has them beside its own, a line each,
with the tree that it was read from. By that hash restic names everything in a snapshot, so that a line holds
for a snapshot with that tree, here or in any repository that it was copied to, and for no other. It is for
lists alone, for whoever can write to the repository can store a seal that says anything: whoever restores or
verifies a point reads its own seal, and so does whoever removes points.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

FILE_NAME = "history.jsonl"
Kind = Literal["manifest", "drill"]
_LINE = re.compile(rb'\{"tree":"([0-9a-f]*)","(manifest|drill)":(\{.*\})\}')
# Outside of a string, where a line feed is written as `\n`.
_INDENTATION = re.compile(rb"\n *")


@dataclass(frozen=True)
class Entry:
    """The JSON of a manifest or of a drill's note, and the tree that it was read from.

    The tree is empty of the seal's own manifest: its hash is not known before it is stored.
    """

    tree: str
    kind: Kind
    data: bytes


def lines(entries: Iterable[Entry]) -> Iterator[bytes]:
    """A line for each."""
    for entry in entries:
        data = _INDENTATION.sub(b"", entry.data)
        yield b'{"tree":"%b","%b":%b}\n' % (entry.tree.encode(), entry.kind.encode(), data)


def entries(pieces: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of a file that comes in pieces; a line that is none of them is left out."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if found := _LINE.fullmatch(line):
                yield Entry(found[1].decode(), "drill" if found[2] == b"drill" else "manifest", found[3])
