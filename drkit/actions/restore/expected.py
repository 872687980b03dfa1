"""How long a restore will take, by what a drill took for the same parts; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from drkit.model import DrillNote, Point, PointManifest


@dataclass(frozen=True)
class Expected:
    """The time to expect, and the drill that says so; `point` is the one that it restored."""

    seconds: float
    drill: str
    point: str
    finished_at: datetime


@dataclass(frozen=True)
class Wanted:
    """What is to be restored of a part."""

    kind: str
    name: str
    bytes: int


def expect(wanted: Sequence[Wanted], points: Sequence[Point], point: str) -> Expected | None:
    """The time for these parts, which are restored side by side; None where no drill says anything of them.

    By the last full drill of that point that passed, else by the last one of any.
    """
    proven = [(note, p.manifest) for p in points for note in p.drills if p.manifest and note.proves]
    if not proven:
        return None
    note, manifest = max(proven, key=lambda pair: (pair[0].point == point, pair[0].finished_at))
    times = [time for part in wanted for time in _times(part, note, manifest)]
    return Expected(max(times), note.id, note.point, note.finished_at) if times else None


def _times(part: Wanted, note: DrillNote, manifest: PointManifest) -> Iterator[float]:
    """What the drill took for this part, in proportion to its size."""
    match part.kind:
        case "database":
            names, there = (
                {f"fetch dump of {part.name}", f"load {part.name}"},
                manifest.part("database", part.name),
            )
        case "blobs":
            names, there = {"restore blobs"}, manifest.images
        case _:
            names, there = {"open secrets"}, manifest.part("secrets")
    found = [stage.seconds for stage in note.stages if stage.name in names]
    if found and there:
        yield sum(found) * part.bytes / max(1, there.bytes)
