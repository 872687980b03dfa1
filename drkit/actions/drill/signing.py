"""Signing a drill's report."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drkit import config
from drkit.errors import ReportAltered
from drkit.model import DrillReport, Point
from drkit.points import drill_reports
from drkit.points.catalog import Catalog
from drkit.reports import attestation, page
from drkit.reports.attestation import PAYLOAD_TYPE, Attested, Predicate, Previous, Signed
from drkit.tools import dsse
from drkit.tools.restic.output import Snapshot

# More repositories than that have no turns of their own.
_FEW = 20


@dataclass(frozen=True)
class Signer:
    """A key, and what it signs a report of one point with; `previous` are the reports before it."""

    key: Ed25519PrivateKey
    seal: str
    repository: str
    previous: tuple[Previous, ...]

    def sign(self, report: DrillReport, page: str) -> Signed:
        """The report in its envelope, with the hash of its page."""
        hashed = attestation.digest(page.encode())
        predicate = Predicate(report, self.repository, hashed, self.previous)
        payload = attestation.statement(predicate, self.seal)
        after = tuple(each.sha256 for each in self.previous)
        return Signed(dsse.sign(payload, PAYLOAD_TYPE, self.key), attestation.digest(payload), after)


def read_key(settings: config.Config) -> Ed25519PrivateKey | None:
    """The configured key, None where reports are not signed; raises ConfigError."""
    return dsse.read_private(settings.drill.signing_key) if settings.drill.signing_key else None


def signer(key: Ed25519PrivateKey, catalog: Catalog, point: Point, kept: Path) -> Signer:
    """What signs the next report; raises the repository's errors, for it must know of those before.

    `kept` has the reports of this machine.
    """
    snapshots = catalog.snapshots()
    previous = drill_reports.unnamed(snapshots)
    if (own := _last_of(kept, catalog)) and _is_missed(own, drill_reports.statements(snapshots)):
        previous += (Previous(own.report.id, own.sha256),)
    return Signer(key, point.manifest_snapshot or point.id, catalog.repository.id, previous)


def _is_missed(own: Attested, there: Mapping[str, Snapshot]) -> bool:
    """Whether a report is not in the repository, and no `expire` has taken it: those go oldest first.

    A drill host may read the repository and not write it, or somebody has removed the report.
    """
    oldest = next(iter(there.values()), None)
    return own.sha256 not in there and (oldest is None or own.report.finished_at >= oldest.time)


def _last_of(kept: Path, catalog: Catalog) -> Attested | None:
    """The last report that this machine has signed of that repository, of its last few."""
    names = sorted((each.name for each in kept.iterdir()), reverse=True) if kept.is_dir() else []
    for name in names[:_FEW]:
        with contextlib.suppress(OSError, ReportAltered):
            payload, signer = dsse.payload((kept / name / page.ENVELOPE).read_bytes())
            found = attestation.parse(payload, signer)
            if (found.report.site, found.predicate.repository) == (catalog.site, catalog.repository.id):
                return found
    return None
