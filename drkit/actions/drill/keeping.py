"""Where a drill's report goes: files here and where the user wants them, and the repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drkit import config
from drkit.actions.drill import late, signing, verdict
from drkit.actions.drill.signing import Signer
from drkit.errors import DrkitError
from drkit.model import DrillNote, DrillReport, Point
from drkit.points.catalog import Catalog
from drkit.reports import page
from drkit.reports.attestation import Signed
from drkit.state.directory import private_directory


def keep(
    report: DrillReport,
    catalog: Catalog,
    settings: config.Config,
    point: Point,
    key: Ed25519PrivateKey | None,
    homes: Sequence[Path],
    earlier: Sequence[DrillNote],
) -> DrillReport:
    """Store a report with its page in the repository, signed where there is a key, and write it to `homes`.

    The first of them is its folder beside this machine's other reports. Before it come those of earlier
    drills that the repository has not taken.

    Returns the report as it was written: where the repository does not take it, that is a problem of it.
    """
    report = replace(report, report=str(homes[-1] / page.PAGE))
    signer: Signer | None = None
    # Before it is signed, for its signature names those before it.
    said, stored = tuple(late.store(catalog, settings, homes[0].parent)), True
    report = replace(report, problems=(*report.problems, *said))
    try:
        signer = signing.signer(key, catalog, point, homes[0].parent) if key else None
        text, signed = _rendered(report, signer, earlier)
        with private_directory(settings.sandboxes, f"{report.id}.report") as directory:
            catalog.keep_drill(report, text, signed, directory)
    except DrkitError as error:
        # A drill host may read the repository and not write it; the drill itself is no less true.
        stored = False
        note = (
            f"the report is not in the repository, so `expire` does not know of this drill: {error.message}"
            "; the next drill on this machine stores it"
        )
        report = replace(report, problems=(*report.problems, note))
        text, signed = _rendered(report, signer, earlier)
    for home in homes:
        page.write(report, home, text, signed.envelope if signed else None)
    if not stored:
        late.mark(homes[0])
    return report


def _rendered(
    report: DrillReport, signer: Signer | None, earlier: Sequence[DrillNote]
) -> tuple[str, Signed | None]:
    """The page, and the report in its envelope."""
    text = page.render(report, verdict.sentence(report), earlier, signed=signer is not None)
    return text, signer.sign(report, text) if signer else None
