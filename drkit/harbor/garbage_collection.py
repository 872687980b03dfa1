"""Harbor's garbage collection, as its database shows it.

A run is a row of `execution` with vendor_type GARBAGE_COLLECTION (src/controller/gc). It is written with
status Running before the job starts; status and end_time follow the job, some seconds late. Only Success,
Error and Stopped are final. `extra_attrs` holds the parameters: a dry run deletes nothing.

A sweep sets `blob.status` to delete for every candidate, and to deleting just before the bytes go
(src/jobservice/job/impl/gc); then the row itself goes. Both may stay behind where a sweep was stopped, so
that only a fresh one says that something is going on. A run that was told to stop is final at once, and
still ends the deletion that it is at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from drkit.harbor import tables
from drkit.tools.postgres import sql
from drkit.tools.postgres.sessions import Session

# A row that is being deleted is gone in a second; Harbor tries again for a minute where storage fails.
_FRESH = "10 minutes"

_REAL = "vendor_type = 'GARBAGE_COLLECTION' AND (extra_attrs::jsonb ->> 'dry_run') IS DISTINCT FROM 'true'"
_UNDER_WAY = "upper(coalesce(status, '')) NOT IN ('SUCCESS', 'ERROR', 'STOPPED')"


@dataclass(frozen=True)
class Collection:
    """A garbage collection that is under way; `id` is its execution's, where it is known by that."""

    id: int | None
    since: datetime | None

    @property
    def sentence(self) -> str:
        """What there is to say about it."""
        said = "a garbage collection of the registry is under way"
        if self.id is None:
            return f"{said}: blobs are being deleted"
        return f"{said}: execution {self.id}" + (
            f", since {self.since:%Y-%m-%d %H:%M} UTC" if self.since else ""
        )


@dataclass(frozen=True)
class Mark:
    """The garbage collections that a snapshot of the database knows of, and its moment."""

    executions: tuple[int, ...]
    moment: datetime


def under_way(session: Session) -> Collection | None:
    """The garbage collection that deletes, or is about to, at this moment."""
    if tables.has(session, "execution"):
        query = sql.compose(
            "SELECT id, start_time FROM public.execution"
            " WHERE {real} AND {under_way} ORDER BY start_time DESC LIMIT 1",
            real=sql.fragment(_REAL),
            under_way=sql.fragment(_UNDER_WAY),
        )
        found = session.rows(query)
        if found:
            return Collection(*found[0])
    return Collection(None, None) if _sweeps(session) else None


def mark(session: Session, moment: datetime) -> Mark:
    """What is known at a snapshot; ask within it."""
    if not tables.has(session, "execution"):
        return Mark((), moment)
    found = session.rows("SELECT id FROM public.execution WHERE vendor_type = 'GARBAGE_COLLECTION'")
    return Mark(tuple(number for (number,) in found), moment)


def since(session: Session, known: Mark) -> bool:
    """Whether a garbage collection runs now, or did at any time since the mark; ask outside the snapshot.

    New executions are known by their number: the clocks of Harbor and of its database may differ.
    """
    if under_way(session):
        return True
    if not tables.has(session, "execution"):
        return False
    query = sql.compose(
        "SELECT EXISTS (SELECT FROM public.execution WHERE {real} AND (NOT id = ANY (%s) OR end_time >= %s))"
        " OR EXISTS (SELECT FROM public.blob WHERE status IN ('delete', 'deleting', 'deletefailed')"
        "   AND update_time >= %s)",
        real=sql.fragment(_REAL),
    )
    return bool(session.value(query, (list(known.executions), known.moment, known.moment)))


def known_blobs(session: Session, digests: Sequence[str]) -> set[str]:
    """Those of the digests that the database knows as blobs, or as system artifacts."""
    query = "SELECT digest FROM public.blob WHERE digest = ANY (%s)"
    parameters: list[list[str]] = [list(digests)]
    if tables.has(session, "system_artifact"):
        query += " UNION SELECT digest FROM public.system_artifact WHERE digest = ANY (%s)"
        parameters *= 2
    return {digest for (digest,) in session.rows(query, parameters)}


def _sweeps(session: Session) -> bool:
    query = (
        "SELECT EXISTS (SELECT FROM public.blob WHERE status = 'deleting'"
        "  AND update_time > (clock_timestamp() AT TIME ZONE 'UTC') - %s::interval)"
    )
    return bool(session.value(query, (_FRESH,)))
