"""Which files a repository has, by kind, and what can happen to one: pure, but for reading and writing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from random import Random

# What can happen to a file; "swapped": it holds what another of its kind does.
FAULTS = ("deleted", "truncated", "flipped", "emptied", "swapped", "appended to")
_MOST_APPENDED = 64


def by_kind(repository: Path, cache: Path) -> dict[str, list[Path]]:
    """The files of a restic repository; the packs that its cache has copies of are those with trees."""
    trees = {path.name for path in cache.glob("*/data/*/*")}
    packs = sorted(path for path in (repository / "data").rglob("*") if path.is_file())
    found = {
        "config": [repository / "config"],
        "key": sorted((repository / "keys").iterdir()),
        "snapshot": sorted((repository / "snapshots").iterdir()),
        "index": sorted((repository / "index").iterdir()),
        "tree pack": [path for path in packs if path.name in trees],
        "data pack": [path for path in packs if path.name not in trees],
    }
    return {kind: paths for kind, paths in found.items() if paths}


def plant(path: Path, fault: str, others: Sequence[Path], random: Random) -> None:
    """Do it to a file; other names of it (hard links) keep what they had."""
    data = path.read_bytes()
    others = [other for other in others if other != path]
    path.unlink()
    if fault != "deleted":
        path.write_bytes(changed(data, fault, random.choice(others).read_bytes() if others else b"", random))


def changed(data: bytes, fault: str, other: bytes, random: Random) -> bytes:
    """A file's bytes with a fault in them; there is something else there than before."""
    match fault:
        case "truncated" if data:
            return data[: random.randrange(len(data))]
        case "flipped" if data:
            at = random.randrange(len(data))
            return data[:at] + bytes([data[at] ^ random.randrange(1, 256)]) + data[at + 1 :]
        case "swapped" if other != data:
            return other
        case "emptied" if data:
            return b""
        case _:
            return data + random.randbytes(random.randint(1, _MOST_APPENDED))


def total(counts: Mapping[str, int]) -> str:
    """`3 caught, 1 harmless`."""
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items()) if count)
