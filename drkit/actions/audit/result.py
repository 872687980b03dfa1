"""What an audit found, as it is shown and printed as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from drkit.actions.audit.examine import YOUNG, Examination
from drkit.actions.audit.plan import NOWHERE, Account, Fault, FaultKind, Figures
from drkit.actions.audit.repair import Repair
from drkit.model import Shared

_NOTHING = "there was nothing to put back: no blob is missing or damaged"


@dataclass(frozen=True)
class ProjectAudit:
    """What there is of a project; of one without a name are blobs that are linked from nowhere.

    `recorded_bytes` is what Harbor counts for its quota, None where there is no such database. Sizes in
    bytes; `faults` by kind.
    """

    name: str
    blobs: int
    bytes: int
    unreferenced: int
    unreferenced_bytes: int
    recorded_bytes: int | None
    faults: dict[FaultKind, int]

    @property
    def damaged(self) -> int:
        """How much is wrong."""
        return sum(self.faults.values())


@dataclass(frozen=True)
class AuditResult:
    """What an audit found.

    `stale_links` lead to blobs that are gone and that nothing needs, as garbage collection leaves them;
    `young` are unreferenced blobs that a push may be about to refer to. `faults` names up to twenty of each
    kind, `counts` tells how many there are. `cluster` is who read the blobs, where that was not this machine.
    """

    site: str
    where: str
    databases: tuple[str, ...]
    consistent_at: datetime
    referenced: int
    stored: int
    stored_bytes: int
    unreferenced: int
    unreferenced_bytes: int
    young: int
    young_bytes: int
    links: int
    stale_links: int
    manifests: int
    read: int
    read_bytes: int
    counts: dict[FaultKind, int]
    faults: tuple[Fault, ...]
    projects: tuple[ProjectAudit, ...]
    notes: tuple[str, ...]
    swept: tuple[str, ...]
    seconds: float
    read_data_subset: str | None = None
    repair: Repair | None = None
    cluster: Shared | None = None

    @property
    def whole(self) -> bool:
        """Database and images belong together."""
        return not self.counts


def of(
    site: str,
    where: str,
    looked: Examination,
    account: Account,
    *,
    repair: Repair | None,
    swept: tuple[str, ...],
    subset: str | None,
    nothing_to_repair: bool,
    seconds: float,
) -> AuditResult:
    """The result of an examination."""
    view = looked.view
    assert view is not None
    total = account.total
    sizes = {name: size.bytes for name, size in view.projects.items()} if view.names else None
    return AuditResult(
        site=site,
        where=where,
        databases=view.names,
        consistent_at=view.consistent_at or looked.began,
        referenced=account.referenced,
        stored=total.blobs,
        stored_bytes=total.bytes,
        unreferenced=total.unreferenced,
        unreferenced_bytes=total.unreferenced_bytes,
        young=account.young,
        young_bytes=account.young_bytes,
        links=looked.links,
        stale_links=account.left,
        manifests=looked.survey.proof.manifests if looked.survey else 0,
        read=looked.read,
        read_bytes=looked.read_bytes,
        counts=by_kind(total.faults),
        faults=account.faults,
        projects=tuple(_projects(account, sizes)),
        notes=(*_notes(looked, account), *((_NOTHING,) if nothing_to_repair else ())),
        swept=swept,
        seconds=round(seconds, 3),
        read_data_subset=subset,
        repair=repair,
        cluster=looked.shared,
    )


def by_kind(faults: dict[FaultKind, int]) -> dict[FaultKind, int]:
    """The counts in the order in which they are told."""
    return {kind: faults[kind] for kind in FaultKind if faults.get(kind)}


def _projects(account: Account, sizes: dict[str, int] | None) -> Iterator[ProjectAudit]:
    """The worst first: damaged ones, then by the bytes that nothing refers to."""
    names = {*account.projects, *(sizes or {})}
    found = (_project(name, account.projects.get(name, Figures()), sizes) for name in names)
    yield from sorted(found, key=lambda p: (-p.damaged, -p.unreferenced_bytes, -p.bytes, p.name))


def _project(name: str, figures: Figures, sizes: dict[str, int] | None) -> ProjectAudit:
    recorded = None if sizes is None or name == NOWHERE else sizes.get(name)
    return ProjectAudit(
        name,
        figures.blobs,
        figures.bytes,
        figures.unreferenced,
        figures.unreferenced_bytes,
        recorded,
        by_kind(figures.faults),
    )


def _notes(looked: Examination, account: Account) -> Iterator[str]:
    """What is no damage, and should be known."""
    view = looked.view
    assert view is not None
    yield from view.notes
    if view.others and not view.names:
        yield (
            f"database {', '.join(view.others)} has no tables of Harbor's: which images there are was read"
            " from the registry's own links"
        )
    if not account.referenced:
        if account.total.blobs:
            yield (
                f"nothing refers to any of the {account.total.blobs:,} blobs: is it the database of this"
                " registry?"
            )
        else:
            yield "there is not one image"
    if account.young:
        hours = YOUNG.total_seconds() / 3600
        yield (
            f"of the unreferenced blobs, {account.young:,} came within the last {hours:.0f} hours: a push may"
            " be about to refer to them"
        )
