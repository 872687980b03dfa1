"""What was found wrong in a vault, remembered in the vault itself until it is right again.

<prefix>/drkit/damage/<run>.json     digests whose bytes are wrong or gone, locks that end too early

Whoever reads blobs writes it down; the next backup copies those again from production, and verify looks at
them again. A listing shows neither, so that no backup would notice by itself.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from drkit.blobs.ends import drkits_own
from drkit.errors import ObjectMissing, ToolFailed
from drkit.model import BucketPlace, utc_now
from drkit.tools.s3.bucket import Bucket


@dataclass(frozen=True)
class Damage:
    """One record: what a run found wrong, and when. `locks` counts locks that are shorter than recorded."""

    key: str
    found_by: str
    found_at: datetime
    digests: frozenset[str]
    locks: int = 0

    @property
    def sentence(self) -> str:
        """What there is to say of it."""
        when = f"{self.found_by} has found on {self.found_at:%Y-%m-%d}"
        said = [f"{len(self.digests)} damaged blobs"] if self.digests else []
        said += [f"{self.locks} locks that end too early"] if self.locks else []
        return f"{when} {' and '.join(said)} in the vault: the next backup repairs what it can"


def remember(
    vault: Bucket, place: BucketPlace, run: str, by: str, digests: Collection[str], locks: int = 0
) -> None:
    """Write down what was found, if anything was; raises the bucket's errors."""
    if digests or locks:
        key = f"{drkits_own(place)}damage/{run}.json"
        _write(vault, Damage(key, by, utc_now(), frozenset(digests), locks))


def remembered(vault: Bucket, place: BucketPlace) -> tuple[Damage, ...]:
    """Everything that is written down; raises ToolFailed for a record that cannot be read."""
    found = []
    for each in vault.listed(f"{drkits_own(place)}damage/"):
        try:
            content = json.loads(vault.read_small(each.key))
            at = datetime.fromisoformat(content["found_at"])
            found.append(
                Damage(
                    each.key,
                    str(content["found_by"]),
                    at,
                    frozenset(map(str, content["digests"])),
                    int(content["locks"]),
                )
            )
        except ObjectMissing:
            continue
        except (ValueError, KeyError, TypeError):
            raise ToolFailed(
                f"{each.key} in {place.where} cannot be read: it says what is damaged in the vault",
                hint="remove it, and run `drkit verify --read-data-subset 100%`",
            ) from None
    return tuple(found)


def digests(records: Iterable[Damage]) -> frozenset[str]:
    """All digests that were found wrong."""
    return frozenset().union(*(each.digests for each in records))


def settle(vault: Bucket, records: Iterable[Damage], right: Collection[str], *, locks: bool = False) -> None:
    """Write down that these digests are right again, and with `locks` that all locks are."""
    right = frozenset(right)
    for each in records:
        left = replace(each, digests=each.digests - right, locks=0 if locks else each.locks)
        if not left.digests and not left.locks:
            vault.delete([(each.key, None)])
        elif left != each:
            _write(vault, left)


def _write(vault: Bucket, damage: Damage) -> None:
    content = {
        "found_by": damage.found_by,
        "found_at": damage.found_at.isoformat(timespec="seconds"),
        "host": platform.node(),
        "digests": sorted(damage.digests),
        "locks": damage.locks,
    }
    vault.put(damage.key, json.dumps(content).encode())
