"""Signing a drill's report."""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drkit import config
from drkit.model import DrillReport, Point
from drkit.points import drill_reports
from drkit.points.catalog import Catalog
from drkit.reports import attestation
from drkit.reports.attestation import PAYLOAD_TYPE, Predicate, Previous, Signed
from drkit.tools import dsse


@dataclass(frozen=True)
class Signer:
    """A key, and what it signs a report of one point with; `previous` is the report before it."""

    key: Ed25519PrivateKey
    seal: str
    repository: str
    previous: Previous | None

    def sign(self, report: DrillReport, page: str) -> Signed:
        """The report in its envelope, with the hash of its page."""
        hashed = attestation.digest(page.encode())
        predicate = Predicate(report, self.repository, hashed, self.previous)
        payload = attestation.statement(predicate, self.seal)
        return Signed(dsse.sign(payload, PAYLOAD_TYPE, self.key), attestation.digest(payload))


def read_key(settings: config.Config) -> Ed25519PrivateKey | None:
    """The configured key, None where reports are not signed; raises ConfigError."""
    return dsse.read_private(settings.drill.signing_key) if settings.drill.signing_key else None


def signer(key: Ed25519PrivateKey, catalog: Catalog, point: Point) -> Signer:
    """What signs the next report; raises the repository's errors, for it must know of the one before."""
    previous = drill_reports.last_signed(catalog.snapshots())
    return Signer(key, point.manifest_snapshot or point.id, catalog.repository.id, previous)
