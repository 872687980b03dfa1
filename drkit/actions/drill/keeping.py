"""Where a drill's report goes: files here and where the user wants them, and the repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drkit import config
from drkit.actions.drill import late, signing, verdict
from drkit.actions.drill.signing import Signer
from drkit.errors import DrkitError, Failure, Interrupted, failure_of
from drkit.model import DrillNote, DrillReport, Point
from drkit.points.catalog import Catalog
from drkit.reports import junit, page
from drkit.reports.attestation import Signed
from drkit.state.directory import private_directory

# What the next drill does, if there is a mark that says so.
_LATER = "; the next drill on this machine stores it"


@dataclass(frozen=True)
class Kept:
    """A report as it was written, and what kept it from being written everywhere."""

    report: DrillReport
    refused: tuple[DrkitError, ...] = ()

    def require_all(self) -> None:
        """Raise what a place said that was to have the report, with the report as its result."""
        for error in self.refused:
            error.result = self.report
            raise error


def keep(
    report: DrillReport,
    catalog: Catalog,
    settings: config.Config,
    point: Point,
    key: Ed25519PrivateKey | None,
    homes: Sequence[Path],
    earlier: Sequence[DrillNote],
) -> Kept:
    """Store a report with its page in the repository, signed where there is a key, and write it to `homes`.

    The first of them is its folder beside this machine's other reports. Before it come those of earlier
    drills that the repository has not taken.

    A place that does not take it is a problem of it, and keeps no other from taking it.
    """
    report = replace(report, report=str(homes[-1] / page.PAGE))
    signer: Signer | None = None
    interruption: tuple[Interrupted, ...] = ()
    # Before it is signed, for its signature names those before it.
    said, stored = tuple(late.store(catalog, settings, homes[0].parent)), True
    report = replace(report, problems=(*report.problems, *said))
    try:
        signer = signing.signer(key, catalog, point, homes[0].parent) if key else None
        text, signed = _rendered(report, signer, earlier)
        with private_directory(settings.sandboxes, f"{report.id}.report") as directory:
            catalog.keep_drill(report, text, signed, directory)
    except (DrkitError, OSError) as error:
        # A drill host may read the repository and not write it; the drill itself is no less true.
        stored = False
        interruption = (error,) if isinstance(error, Interrupted) else ()
        note = (
            "the report is not in the repository, so `expire` does not know of this drill: "
            f"{failure_of(error).message}{_LATER}"
        )
        report = replace(report, problems=(*report.problems, note))
        text, signed = _rendered(report, signer, earlier)
    refused: dict[Path, DrkitError] = {}
    for home in homes:
        try:
            page.write(report, home, text, signed.envelope if signed else None)
            if home == homes[0] and not stored:
                late.mark(home)
        except (Failure, OSError) as error:
            refused[home] = failure_of(error)
    kept = _told(report, homes, refused, stored=stored)
    # Whoever has interrupted it is told that it was, when what was found is written down.
    return replace(kept, refused=(*interruption, *kept.refused))


def add_junit(kept: Kept, path: Path) -> Kept:
    """Write the report for a CI server as well."""
    try:
        junit.write(kept.report, path)
    except Failure as error:
        report = replace(kept.report, problems=(*kept.report.problems, error.message))
        return Kept(report, (*kept.refused, error))
    return kept


def _told(
    report: DrillReport, homes: Sequence[Path], refused: Mapping[Path, DrkitError], *, stored: bool
) -> Kept:
    """The report with what refused it, and where it is all the same; pure."""
    if not refused:
        return Kept(report)
    problems = report.problems
    if homes[0] in refused:
        problems = tuple(problem.removesuffix(_LATER) for problem in problems)
    written = [home for home in homes if home not in refused]
    places = [*map(str, written), *(["the repository"] if stored else [])]
    where = f"it is in {' and '.join(places)}" if places else "it is nowhere but in what is printed here"
    note = f"{'; '.join(error.message for error in refused.values())}; {where}"
    shown = str(written[-1] / page.PAGE) if written else None
    return Kept(replace(report, report=shown, problems=(*problems, note)), tuple(refused.values()))


def _rendered(
    report: DrillReport, signer: Signer | None, earlier: Sequence[DrillNote]
) -> tuple[str, Signed | None]:
    """The page, and the report in its envelope."""
    text = page.render(report, verdict.sentence(report), earlier, signed=signer is not None)
    return text, signer.sign(report, text) if signer else None
