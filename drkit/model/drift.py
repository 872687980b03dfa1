"""What harbor.yml names and the configuration does not back up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Drift:
    """One database, place of images, file or directory that harbor.yml names and that is not backed up.

    `source` is its name in `dropped` of [site], which confirms that this is meant: `database:HOST:PORT/NAME`,
    `blobs:PLACE` or `secrets:PATH`.
    """

    source: str
    said: str
    hint: str

    @property
    def is_file(self) -> bool:
        """Whether it is a file or directory, which would be in the secrets bundle."""
        return self.source.startswith("secrets:")


def is_told(source: str, dropped: Collection[str]) -> bool:
    """Whether `dropped` confirms it: by its own name, the database's name, `blobs`, or a directory above."""
    kind, _, rest = source.partition(":")
    names = {source}
    match kind:
        case "database":
            names.add(f"{kind}:{rest.rpartition('/')[2]}")
        case "blobs":
            names.add(kind)
        case _:
            names |= {f"{kind}:{parent}" for parent in PurePosixPath(rest).parents}
    return not names.isdisjoint(dropped)
