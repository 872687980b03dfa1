"""Which restic repositories rely on a vault, recorded in the vault itself.

<prefix>/drkit/repositories/<repository id>.<site>.json

A site's name alone tells nothing: a second installation may have the same, and a site may have a new
repository while its old one is on a shelf. What a recorded repository needs can be known only by reading it,
so `expire` leaves the vault alone while one of them is not configured.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from drkit.blobs.ends import drkits_own
from drkit.errors import NotOurs, ObjectMissing, UsageError
from drkit.model import BucketPlace, utc_now
from drkit.tools.s3.bucket import Bucket

# The fewest digits of an id that are taken from a user.
_SHORTEST = 8
_HINT = (
    "give this site a vault of its own (another bucket, or another prefix in [vault]); or see `shared` in"
    " [vault]; or, if that repository is gone for good, `drkit expire --forget-repository {id}`"
)


@dataclass(frozen=True)
class Reliant:
    """A site's points in a repository: its restic id, and for a person its address without secrets."""

    id: str
    site: str
    url: str = ""

    def __str__(self) -> str:
        return f"repository {self.id[:16]} of the site {self.site} ({self.url})"

    @property
    def identity(self) -> tuple[str, str]:
        """What makes two of them the same."""
        return self.id, self.site


@dataclass(frozen=True)
class Recorded:
    """A record in the vault: who relies on it, and since when by the service's clock."""

    key: str
    reliant: Reliant
    since: datetime


def recorded(vault: Bucket, place: BucketPlace) -> tuple[Recorded, ...]:
    """Every record of a vault; raises NotOurs for one that cannot be read, and the bucket's errors."""
    found = []
    for each in vault.listed(f"{drkits_own(place)}repositories/"):
        try:
            content = json.loads(vault.read_small(each.key))
            reliant = Reliant(*(str(content[name]) for name in ("id", "site", "url")))
        except ObjectMissing:
            continue
        except (ValueError, KeyError, TypeError):
            raise NotOurs(
                f"it is not certain who relies on the vault {place.where}: {each.key} cannot be read",
                hint="look at it; its name is the id of a restic repository and the name of a site",
            ) from None
        found.append(Recorded(each.key, reliant, datetime.fromisoformat(each.modified)))
    return tuple(found)


def foreign(records: Iterable[Recorded], ours: Iterable[Reliant]) -> tuple[Recorded, ...]:
    """The records of those that are not among ours."""
    known = {each.identity for each in ours}
    return tuple(record for record in records if record.reliant.identity not in known)


def refuse_foreign(
    records: Sequence[Recorded], ours: Sequence[Reliant], place: BucketPlace, *, shared: bool
) -> None:
    """Raise NotOurs where another repository relies on the vault, unless it is shared or we are recorded.

    `ours` begins with the repository that backups go to.
    """
    others = foreign(records, ours)
    if shared or not others or ours[0].identity in {record.reliant.identity for record in records}:
        return
    first = others[0].reliant
    raise NotOurs(
        f"the vault {place.where} keeps the blobs of another repository: {first}",
        hint=_HINT.format(id=first.id[:16]),
    )


def record(
    vault: Bucket, place: BucketPlace, ours: Sequence[Reliant], *, shared: bool, known: Sequence[Recorded]
) -> None:
    """Say in the vault that ours rely on it; raises NotOurs where another was as quick, and quicker."""
    there = {each.reliant.identity for each in known}
    new = [each for each in ours if each.identity not in there]
    for each in new:
        vault.put(_key(place, each), _content(each))
    if not new or shared:
        return
    now = recorded(vault, place)
    mine = next((each for each in now if each.reliant.identity == ours[0].identity), None)
    quicker = [each for each in foreign(now, ours) if mine and _order(each) < _order(mine)]
    if quicker:
        vault.delete([(_key(place, each), None) for each in new])
        refuse_foreign(quicker, ours, place, shared=False)


def _order(found: Recorded) -> tuple[datetime, str]:
    return found.since, found.key


def forget(
    vault: Bucket, place: BucketPlace, wanted: str, ours: Collection[Reliant], *, dry_run: bool = False
) -> tuple[Recorded, ...]:
    """Remove the records of a repository that is gone, by its id or the beginning of it.

    Returns what was removed, or would be; raises UsageError for an id that is not recorded, that means
    several repositories, or that of a configured one.
    """
    records = recorded(vault, place)
    found = [each for each in records if each.reliant.id.startswith(wanted)]
    ids = {each.reliant.id for each in found}
    if len(wanted) < _SHORTEST or len(ids) != 1:
        known = "; ".join(str(each.reliant) for each in records) or "none"
        raise UsageError(
            f'"{wanted}" does not name one repository that relies on the vault {place.where}',
            hint=f"recorded there: {known}",
        )
    gone = [each for each in found if each.reliant.identity not in {one.identity for one in ours}]
    if not gone:
        raise UsageError(
            f"{found[0].reliant} is in this configuration, and so it is not gone",
            hint="remove its [[repository]] first",
        )
    if not dry_run:
        vault.delete([(each.key, None) for each in gone])
    return tuple(gone)


def _key(place: BucketPlace, reliant: Reliant) -> str:
    return f"{drkits_own(place)}repositories/{reliant.id}.{reliant.site}.json"


def _content(reliant: Reliant) -> bytes:
    facts = {
        "id": reliant.id,
        "site": reliant.site,
        "url": reliant.url,
        "recorded_by": platform.node(),
        "recorded_at": utc_now().isoformat(timespec="seconds"),
    }
    return json.dumps(facts).encode()
