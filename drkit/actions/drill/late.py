"""Reports that the repository did not take when they were made: the next drill that can stores them.

Such a report has a mark in its folder beside this machine's other reports. One without it was stored: where
it is gone from the repository, `expire` or somebody has removed it, and nobody puts it back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from drkit import config
from drkit.errors import Failure, ReportAltered, failure_of
from drkit.model import DrillReport
from drkit.points import seals
from drkit.points.catalog import Catalog
from drkit.points.reading import parse
from drkit.reports import attestation, page
from drkit.reports.attestation import Signed
from drkit.state.directory import private_directory
from drkit.tools import dsse

_MARK = "not_in_repository"


def mark(home: Path) -> None:
    """Say of a report in its folder that the repository has not got it."""
    (home / _MARK).touch()


def store(catalog: Catalog, settings: config.Config, kept: Path) -> Iterator[str]:
    """Store what is marked below `kept` and is of this repository, the oldest first; says what came of it.

    A report whose point has gone meanwhile is nothing that `expire` could want to know.
    """
    waiting = sorted(path.parent for path in kept.glob(f"*/{_MARK}"))
    if not waiting:
        return
    try:
        yield from _store(catalog, settings, waiting)
    except (Failure, OSError) as error:
        # A full disk too: it must not cost this drill its report.
        yield f"reports of earlier drills are still not in the repository: {failure_of(error).message}"


def _store(catalog: Catalog, settings: config.Config, waiting: Sequence[Path]) -> Iterator[str]:
    snapshots = catalog.snapshots()
    points = {seals.value(snapshot, seals.POINT) for snapshot in snapshots}
    there = {seals.value(snapshot, seals.DRILL) for snapshot in snapshots}
    for home in waiting:
        found = _read(home, catalog)
        if found is None or found[0].point not in points:
            continue
        report, signed = found
        if report.id not in there:
            text = _page(home)
            with private_directory(settings.sandboxes, f"{report.id}.report") as directory:
                catalog.keep_drill(report, text, signed, directory)
            yield f"stored the report of drill {report.id}, which the repository had not taken then"
        (home / _MARK).unlink()


def _read(home: Path, catalog: Catalog) -> tuple[DrillReport, Signed | None] | None:
    """A report of that repository as it was made, None for any other."""
    with contextlib.suppress(OSError, ReportAltered):
        envelope = home / page.ENVELOPE
        if not envelope.exists():
            report = parse(DrillReport, (home / page.DATA).read_bytes())
            own = report and (report.site, report.repository) == (catalog.site, catalog.name)
            return (report, None) if report and own else None
        data = envelope.read_bytes()
        payload, signer = dsse.payload(data)
        found = attestation.parse(payload, signer)
        if (found.report.site, found.predicate.repository) == (catalog.site, catalog.repository.id):
            after = tuple(each.sha256 for each in found.predicate.previous)
            return found.report, Signed(data, found.sha256, after)
    return None


def _page(home: Path) -> str:
    with contextlib.suppress(OSError):
        return (home / page.PAGE).read_text(encoding="utf-8")
    return ""
