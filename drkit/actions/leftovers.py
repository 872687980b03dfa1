"""What killed runs left behind: found, removed and reported."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from drkit.errors import NotRemoved
from drkit.model import Point, PointStatus
from drkit.points.catalog import Catalog
from drkit.sandbox import container as sandbox_container
from drkit.sandbox import labelled
from drkit.sandbox import postgres as sandbox_postgres
from drkit.state.directory import ID, State, left_behind, remove_tree
from drkit.tools.restic import mount
from drkit.volumes import freeze

# A backup of another machine may be under way: only its long-dead remains are ours to remove.
_FOREIGN_AGE = timedelta(days=7)
# What drills call their directories: the sandbox, and what is kept beside it.
_OF_A_DRILL = re.compile(rf"[0-9a-f]{{20}}|{ID}\.(cache|report)")


def sweep_runs(state: State) -> tuple[str, ...]:
    """Remove the volume snapshots and private directories of dead runs; returns what was done.

    The caller holds the site's lock.
    """
    said = list(freeze.sweep(state.volumes))
    for path in left_behind(state.runs):
        mount.unmount_below(path)
        remove_tree(path)
        said.append(f"removed what the killed run {path.name} left")
    return tuple(said)


def sweep_named(state: State, beginning: str) -> tuple[str, ...]:
    """Remove the private directories of dead runs whose names begin so; says what was done.

    For a caller who does not hold the site, and alone has runs of such names.
    """
    said = []
    for path in left_behind(state.runs):
        if path.name.startswith(beginning):
            remove_tree(path)
            said.append(f"removed what the killed run {path.name} left")
    return tuple(said)


def sweep_sandboxes(sandboxes: Path) -> tuple[str, ...]:
    """Remove the sandboxes of dead drills; returns what was done.

    The directory may be anybody's, such as the top of a file system: whatever else is in it stays.
    """
    said = []
    for path in left_behind(sandboxes, _OF_A_DRILL.fullmatch):
        # First of all, for nothing can be removed below a mount whose restic is dead.
        mount.unmount_below(path)
        sandbox_container.release(path)
        labelled.release(path)
        sandbox_postgres.release_memory(path)
        remove_tree(path)
        said.append(f"removed the sandbox that the killed drill {path.name} left")
    return tuple(said)


def dead_points(
    points: Sequence[Point], machine: str, now: datetime, missed: Collection[str] = ()
) -> tuple[Point, ...]:
    """Points that were never sealed and that nobody works on: this machine's own, or too old for any run.

    One with a broken seal is none of them: what made it unusable may be mended, and it is worth more than its
    room. Nor is one that was sealed once (`missed`): somebody has removed its seal. The caller holds the
    site's lock, so that no backup of this machine is under way.
    """
    return tuple(
        point
        for point in points
        if point.status is PointStatus.INCOMPLETE
        and not point.broken_seal
        and point.id not in missed
        and (point.machine == machine or now - point.taken_at > _FOREIGN_AGE)
    )


def sweep_superseded(catalog: Catalog, points: Sequence[Point]) -> tuple[str, ...]:
    """Remove what later seals took the place of, and a killed run could not; returns what was done.

    The caller holds the site's lock. Raises NotRemoved: in a seal that was replaced may be a bundle that a
    leaked identity opens.
    """
    said = []
    for point in points:
        if not point.superseded:
            continue
        try:
            catalog.repository.forget(point.superseded)
        except NotRemoved as error:
            why = f"what an earlier run replaced in point {point.id} is still there: {error.message}"
            raise NotRemoved(why, left=error.left, hint=error.hint) from None
        said.append(f"removed what an earlier run replaced in point {point.id}")
    return tuple(said)


def sweep_points(catalog: Catalog, dead: Sequence[Point]) -> tuple[str, ...]:
    """Remove the snapshots of dead unsealed points; returns what was done.

    They are looked at once more: who took them for dead some hours ago may share its name with the machine
    (a clone, say) that has sealed them since.
    """
    if not dead:
        return ()
    sealed = {point.id for point in catalog.points() if point.manifest or point.broken_seal}
    still = [point for point in dead if point.id not in sealed]
    catalog.repository.forget([snapshot for point in still for snapshot in point.snapshots])
    return tuple(f"removed the incomplete point {point.id} of an earlier run" for point in still)
