"""Keys that are gone, or others than when a drill last proved them; from manifests alone, pure."""

from __future__ import annotations

import fnmatch
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from drkit.model import Point, PointManifest, SecretFile
from drkit.secrets import changes, kinds


class Became(StrEnum):
    """What became of a file, in words that stand in a sentence."""

    GONE = "is gone"
    EMPTY = "is empty"
    NO_KEY = "holds no key any more"
    ANOTHER = "is another one"


@dataclass(frozen=True)
class LostKey:
    """A file as it was in point `since`, and what became of it."""

    file: SecretFile
    became: Became
    since: str

    @property
    def irreplaceable(self) -> bool:
        """Whether nothing can take its place."""
        return changes.irreplaceable(self.file)

    @property
    def said(self) -> str:
        """For a person."""
        return changes.sentence(self.file, self.became, self.since)


def since_proof(points: Sequence[Point]) -> tuple[PointManifest, ...]:
    """Manifests back to the newest point that a full drill has proven, that one included; newest first."""
    unproven = list(itertools.takewhile(lambda point: not point.was_proven, points))
    return tuple(point.manifest for point in points[: len(unproven) + 1] if point.manifest)


def find(
    files: Sequence[SecretFile], fingerprint_key: str, paths: Sequence[str], earlier: Sequence[PointManifest]
) -> tuple[LostKey, ...]:
    """What the files of now lack that earlier points had, the gravest first.

    `paths` are those of [secrets]: what is no longer among them was taken out on purpose, and is told of as
    a source that was dropped. `earlier` is as in `since_proof`. A file is compared with the oldest of them
    that has it, so that what is back as it was is no loss. A key that changed is none either, for so it is
    renewed: whether the new one fits its certificate is another question.
    """
    now = {file.path: file for file in files}
    found = []
    for path, known in _known(earlier).items():
        wanted = [(point, file) for point, file in known if _wanted(path, point.secret_paths, paths)]
        # What another machine made cannot be compared by content: then with the oldest that can, too.
        own = [each for each in wanted if fingerprint_key and each[0].fingerprint_key == fingerprint_key]
        for point, file in (*wanted[:1], *own[:1]):
            comparable = bool(own) and point.fingerprint_key == fingerprint_key
            became = _became(file, now.get(path), comparable=comparable)
            if became:
                found.append(LostKey(file, became, point.id))
                break
    found.sort(key=lambda loss: (not loss.irreplaceable, loss.file.path))
    return tuple(_without_renewed(found, files, earlier))


def _known(earlier: Sequence[PointManifest]) -> Mapping[str, Sequence[tuple[PointManifest, SecretFile]]]:
    """Path -> the points that have a key there, with the file; the oldest first."""
    known: dict[str, list[tuple[PointManifest, SecretFile]]] = {}
    for point in reversed(earlier):
        for file in point.secret_files:
            if file.what in kinds.KEYS or changes.irreplaceable(file):
                known.setdefault(file.path, []).append((point, file))
    return known


def _wanted(path: str, before: Sequence[str], now: Sequence[str]) -> bool:
    """Whether the configuration still names what had it in the bundle."""
    return any(_covers(each, path) for each in now) or not any(_covers(each, path) for each in before)


@functools.cache
def _covers(named: str, path: str) -> bool:
    """Whether a path in [secrets], or a pattern there, leads to a file."""
    way = (path, *map(str, PurePosixPath(path).parents))
    return any(each == named or fnmatch.fnmatchcase(each, named) for each in way)


def _became(was: SecretFile, now: SecretFile | None, *, comparable: bool) -> Became | None:
    if now is None:
        return Became.GONE
    if was.bytes and not now.bytes:
        return Became.EMPTY
    if changes.irreplaceable(was):
        return Became.ANOTHER if changes.differs(was, now, comparable=comparable) else None
    return None if now.what in kinds.KEYS else Became.NO_KEY


def _without_renewed(
    found: Sequence[LostKey], files: Sequence[SecretFile], earlier: Sequence[PointManifest]
) -> Iterator[LostKey]:
    """Leave out what a new key stands in for: in the same directory, or of the same name in another.

    Some tools give a renewed key another name, or the directory of the day another one.
    """
    there = [file.path for file in files if file.what in kinds.KEYS]
    new: dict[str, list[PurePosixPath]] = {}
    for point in earlier:
        old = {file.path for file in point.secret_files}
        new[point.id] = [PurePosixPath(path) for path in there if path not in old]
    for loss in found:
        path = PurePosixPath(loss.file.path)
        candidates = new[loss.since]
        alike = (each for each in candidates if each.name == path.name or each.parent == path.parent)
        instead = None if loss.irreplaceable else next(alike, None)
        if instead is None:
            yield loss
        else:
            candidates.remove(instead)
