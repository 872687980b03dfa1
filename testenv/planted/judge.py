"""The judge: what restic alone, without a cache, gives back of a point, compared with what it once gave."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testenv.planted import vault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testenv.buckets import Storage
    from testenv.under_fire.stored import Repository


@dataclass(frozen=True)
class Account:
    """For each part of a point, the seal among them, the digest of everything in it."""

    digests: Mapping[str, str]

    def lacking(self, other: Account) -> list[str]:
        """What the other lacks of this."""
        gone = [f"there is no {part}" for part in self.digests if part not in other.digests]
        both = self.digests.keys() & other.digests.keys()
        return gone + [
            f"{part} differs" for part in sorted(both) if self.digests[part] != other.digests[part]
        ]


def account(repository: Repository, point: str, kept: Storage | None = None) -> Account:
    """What can be had of a point; a part that cannot be read is left out, and so is all if none can.

    With the blobs of the vault that has them, `kept`, where there is one.
    """
    try:
        parts = {**repository.parts(point), "seal": repository.seal(point)}
    except (subprocess.CalledProcessError, LookupError):
        return Account({})
    found = vault.blobs(kept) if kept else {}
    for part, snapshot in parts.items():
        try:
            found[part] = repository.digest(snapshot)
        except LookupError:
            continue
    return Account(found)
