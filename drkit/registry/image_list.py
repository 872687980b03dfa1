"""The list of a point's images: a line of JSON for each tag and each untagged manifest, sorted.

From Harbor 2.15 on tags stand in Harbor's database alone; in this list they can be had without one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from typing import Literal, NamedTuple

from drkit.errors import RestoreDamaged
from drkit.registry import storage
from drkit.tools import json_lines
from drkit.tools.sorted_lines import SortedLines

FILE_NAME = "tags.jsonl"
# Cosign's older form: the digest of what it is about, and what it is.
_LIST = re.compile(r"sha256-[0-9a-f]{64}")
_OF = re.compile(r"sha256-([0-9a-f]{64})(?:\.[a-z]+)?")
# A child is of an index; an accessory (a signature, an SBOM) is of its subject.
Kind = Literal["image", "child", "accessory"]


class Listed(NamedTuple):
    """A manifest of a repository under one of its tags, or without any: then the tag is empty.

    `size` is that of the whole image, None where nobody knows it; an accessory has a `subject`. Sorted by
    repository, tag and digest.
    """

    repository: str
    tag: str
    digest: str
    size: int | None = None
    kind: Kind = "image"
    subject: str | None = None


def lists_referrers(tag: str) -> bool:
    """Whether a tag is that of a list of what refers to an image, in a registry that keeps no such lists.

    `sha256-<digest>`, the "referrers tag schema" of the distribution specification. Every client that pushes
    a referrer writes the list anew, with one entry more.
    """
    return _LIST.fullmatch(tag) is not None


def to_lines(images: Iterable[Listed]) -> Iterator[bytes]:
    """One JSON object a line, in the order given, in pieces of about 64 KiB."""
    return json_lines.together(map(_line, images))


def _line(image: Listed) -> bytes:
    line = f'{{"repository": {quoted(image.repository)}, "tag": {quoted(image.tag)}'
    line += f', "digest": {quoted(image.digest)}'
    if image.size is not None:
        line += f', "size": {image.size}'
    if image.kind != "image":
        line += f', "kind": "{image.kind}"'
    if image.subject is not None:
        line += f', "subject": {quoted(image.subject)}'
    return f"{line}}}\n".encode()


def from_file(path: Path) -> Iterator[Listed]:
    """The images in a file of JSON lines."""
    return from_lines(json_lines.pieces(path))


def from_lines(pieces: Iterable[bytes]) -> Iterator[Listed]:
    """The images in a stream of JSON lines; raises RestoreDamaged for anything else."""
    for lines in json_lines.whole(pieces, "the list of images"):
        yield from map(listed, filter(None, lines.split(b"\n")))


def listed(line: bytes) -> Listed:
    """The image in a line of JSON; raises RestoreDamaged for anything else."""
    try:
        found = Listed(**json.loads(line))
        if not storage.is_digest(found.digest) or not isinstance(found.repository + found.tag, str):
            raise ValueError(found.digest)
    except (ValueError, TypeError):
        raise RestoreDamaged("the list of images cannot be read", hint="use another point") from None
    return found


def by_tag(repository: str, tag: str, digest: str) -> Listed:
    """An image of which nobody knows more than its tag: that may say that it is a signature or an SBOM."""
    of = _OF.fullmatch(tag)
    return (
        Listed(repository, tag, digest, None, "accessory", f"sha256:{of[1]}")
        if of
        else Listed(repository, tag, digest)
    )


class ImageList:
    """The list in a file, asked without reading it from its beginning; for several threads at once."""

    def __init__(self, path: Path) -> None:
        self._lines = SortedLines(path, "the list of images")

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()

    def since(self, repository: str, tag: str = "") -> Iterator[Listed]:
        """What comes from a repository and tag on."""
        wanted = (repository, tag)
        return map(listed, self._lines.since(lambda line: _key(line) >= wanted))

    def of(self, repository: str) -> Iterator[Listed]:
        """All that a repository has."""
        for each in self.since(repository):
            if each.repository != repository:
                return
            yield each

    def repository_after(self, name: str) -> str | None:
        """The first repository whose name sorts behind that."""
        found = next(self._lines.since(lambda line: _key(line)[0] > name), None)
        return None if found is None else listed(found).repository


def _key(line: bytes) -> tuple[str, str]:
    found = listed(line)
    return found.repository, found.tag
