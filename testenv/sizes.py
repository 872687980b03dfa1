"""How big a test site is."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True)
class Size:
    """What a site holds. The counts are met closely, not exactly: an index brings its children, and so on."""

    name: str
    projects: int
    repositories: int
    tags: int
    layers: int  # distinct ones
    blob_bytes: int  # of all distinct layers together
    rows: int  # of all tables together, roughly; at least what the images themselves need
    users: int
    token_key_bits: int  # Harbor's is 4096; smaller only because to make or to load one takes long

    @classmethod
    def of(cls, *, blobs: str | int, rows: int, tags: int | None = None, layers: int | None = None) -> Size:
        """A size between the presets: `Size.of(blobs="2GB", rows=2_000_000)`."""
        total = parse_bytes(blobs)
        tags = tags or max(10, min(5_000, int(600 * (total / (2 * 10**9)) ** 0.5)))
        layers = layers or max(24, tags * 4)
        return cls(
            name=f"{total}-{rows}",
            projects=max(3, min(40, tags // 40)),
            repositories=max(5, tags // 10),
            tags=tags,
            layers=layers,
            blob_bytes=total,
            rows=rows,
            users=max(12, min(500, rows // 4_000)),
            token_key_bits=4096,
        )


def parse_bytes(text: str | int) -> int:
    """Bytes from `2GB`, `500 MB` (powers of ten) or a plain number; ValueError if it is neither."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?B?)\s*", str(text).upper())
    if not found:
        raise ValueError(f"not a size: {text!r} (examples: 2GB, 500MB)")
    unit = found[2] if found[2].endswith("B") else found[2] + "B"
    return int(float(found[1]) * _UNITS["" if unit == "B" else unit])


TINY = Size("tiny", 4, 6, 14, 30, 1_000_000, 2_000, 12, 1024)
SMALL = Size("small", 6, 14, 100, 300, 50_000_000, 50_000, 40, 4096)
LARGE = Size("large", 15, 60, 600, 2_500, 2_000_000_000, 2_000_000, 400, 4096)
PRESETS = {size.name: size for size in (TINY, SMALL, LARGE)}
