"""The collapse of production, told by the numbers of its recovery points; pure.

A registry whose data volume is not mounted, or whose database was initialised again, is backed up and
restored perfectly: only the numbers of earlier points tell that it was there.

The rule: of a number fewer than half are left, and it was at least 20 or nothing is left. So a young registry
may lose some of its handful of images, and any registry some of its many. The numbers are the rows of
Harbor's main tables, the blobs that are referred to and there, and of a database without Harbor's tables all
rows. Garbage collection changes none of them, for it removes only what nothing refers to; nor does it count
when Harbor cuts its logs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from drkit.model import CLOCK_SKEW, Closure, Collapse, DatabaseEvidence, Loss, Point, PointManifest

IMAGES = "image blobs"
_MANY = 20
_TABLES = {
    "artifact": "artifacts",
    "tag": "tags",
    "repository": "repositories",
    "project": "projects",
    "harbor_user": "users",
}


@dataclass(frozen=True)
class Earlier:
    """A number that production should still have: that of an earlier point; `lost` says that it had not."""

    count: int
    point: str
    at: datetime
    lost: bool = False


def counts(databases: Iterable[DatabaseEvidence], closure: Closure | None) -> dict[str, int]:
    """The numbers of a point by subject; of what was not captured there is none."""
    found = {} if closure is None else {IMAGES: closure.present}
    for database in databases:
        # A table that is not there counts as empty: it was in the right database.
        rows = {table.table: table.rows for table in database.tables if table.schema == "public"}
        for table, words in _TABLES.items():
            found[f"{words} in database {database.name}"] = rows.get(table, 0)
        if not rows.keys() & _TABLES.keys():
            found[f"rows in database {database.name}"] = database.rows
    return found


def earlier(points: Sequence[Point], confirmed: Collection[str], now: datetime) -> dict[str, Earlier]:
    """What the next point is compared with: each number of the newest point that has it.

    What that point has lost itself, and nobody has confirmed, is still missed. `points` are newest first.
    """
    found: dict[str, Earlier] = {}
    manifests = _past(points, now)
    for manifest in manifests:
        lost = {loss.subject: loss for loss in _unconfirmed(manifest, manifests, confirmed)}
        for subject, count in counts(manifest.databases, manifest.closure).items():
            if subject in lost:
                loss = lost[subject]
                found.setdefault(subject, Earlier(loss.before, loss.since, loss.since_at, lost=True))
            found.setdefault(subject, Earlier(count, manifest.id, manifest.consistent_at))
    return found


def losses(before: Mapping[str, Earlier], now: Mapping[str, int]) -> tuple[Loss, ...]:
    """What has collapsed. What had before is lost until half of it is back, however little it was."""
    return tuple(
        Loss(subject, was.count, now[subject], was.point, was.at)
        for subject, was in before.items()
        if subject in now and _collapsed(was.count, now[subject], many=1 if was.lost else _MANY)
    )


def unconfirmed(points: Sequence[Point], confirmed: Collection[str], now: datetime) -> tuple[Collapse, ...]:
    """The collapses that are not confirmed and not made good since, by the newest point that can tell.

    That is the newest point, and only where that lacks a source an older one. `points` are newest first,
    `confirmed` the ids of those whose losses are meant.
    """
    return tuple(_collapses(_past(points, now), confirmed))


def _collapses(manifests: Sequence[PointManifest], confirmed: Collection[str]) -> Iterator[Collapse]:
    told: set[str] = set()
    # Mostly nothing is lost, and to count what each point has takes a while.
    for manifest in manifests if any(each.losses for each in manifests) else ():
        found = _unconfirmed(manifest, manifests, confirmed)
        if left := tuple(loss for loss in found if loss.subject not in told):
            yield Collapse(manifest.id, left)
        told |= counts(manifest.databases, manifest.closure).keys()


def of_point(point: str, points: Sequence[Point], confirmed: Collection[str]) -> Collapse | None:
    """What the point with this id has lost, and nobody has confirmed; None where that is nothing."""
    manifests = [each.manifest for each in points if each.manifest]
    own = next((manifest for manifest in manifests if manifest.id == point), None)
    left = _unconfirmed(own, manifests, confirmed) if own else ()
    return Collapse(point, left) if left else None


def without_images(collapse: Collapse | None) -> Collapse | None:
    """The same, if it has lost all images and not only most of them: then a drill has none to look at."""
    lost = collapse is not None and any(each.subject == IMAGES and not each.now for each in collapse.losses)
    return collapse if lost else None


def _past(points: Sequence[Point], now: datetime) -> list[PointManifest]:
    """What a wrong clock has dated counts for nothing."""
    return [point.manifest for point in points if point.manifest and point.taken_at <= now + CLOCK_SKEW]


def _unconfirmed(
    manifest: PointManifest, manifests: Iterable[PointManifest], confirmed: Collection[str]
) -> tuple[Loss, ...]:
    """A confirmation holds for other points with the same loss as well, unless they have still less."""
    meant = [loss for each in manifests if each.id in confirmed for loss in each.losses]
    return tuple(loss for loss in manifest.losses if not any(_covers(each, loss) for each in meant))


def _covers(meant: Loss, loss: Loss) -> bool:
    same = (meant.subject, meant.since) == (loss.subject, loss.since)
    return same and not _collapsed(meant.now, loss.now)


def _collapsed(before: int, now: int, many: int = _MANY) -> bool:
    return 2 * now < before and (before >= many or not now)
