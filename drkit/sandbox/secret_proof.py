"""Proving the secrets of a restored point: the bundle, its certificates and keys, what they open and sign."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from drkit import config
from drkit.checks import certificates, keys, named, signatures
from drkit.checks.finding import Check, Control, Unplanted, failed
from drkit.harbor import tables as harbor_tables
from drkit.harbor.tables import StoredSignature
from drkit.model import CheckKind, CheckResult, Outcome, PointManifest
from drkit.sandbox.build import Restored
from drkit.tools.postgres import sessions
from drkit.tools.postgres.targets import Target


@dataclass(frozen=True)
class SecretProof:
    """The checks and controls of the secrets; `directory` is the sandbox's own."""

    manifest: PointManifest
    restored: Restored
    directory: Path
    settings: config.Secrets
    now: datetime

    def checks(self) -> Iterator[Check]:
        """Every check for which the bundle has something; of a damaged bundle, that it is."""
        damage = self.restored.bundle_damage
        if damage:
            yield Check(CheckKind.BUNDLE, lambda: failed(damage))
            return
        members = self.restored.bundle.members
        yield from keys.checks(self.restored.bundle, self.manifest, self._harbor)
        yield from named.checks(members, self.manifest)
        yield from certificates.checks(members, self.now, self.settings.expiry_warning)
        passwords = partial(signatures.passwords, self.settings, members)
        yield from signatures.checks(members, passwords, self._signed)

    def controls(self, checks: Sequence[CheckResult]) -> Iterator[Control | Unplanted]:
        """A fault for every check that passed, so that what turned green is known to turn red."""
        if self.restored.bundle_damage:
            return
        outcomes = {check.kind: check.outcome for check in checks}
        members, sealed = self.restored.bundle.members, self.restored.sealed
        proved = outcomes.get(CheckKind.SECRET_KEY) is Outcome.PASSED
        yield from keys.controls(self.restored.bundle, sealed, self._harbor, key_proved=proved)
        yield from named.controls(members, self.manifest, outcomes.get(CheckKind.NAMED_FILES))
        yield from certificates.controls(members, outcomes, self.now)
        yield from signatures.controls(members, self._signed, outcomes)

    @property
    def _harbor(self) -> Target | None:
        return self.restored.harbor.target if self.restored.harbor else None

    @property
    def _signed(self) -> signatures.Signed | None:
        root = self.restored.blobs_root
        if root is None:
            return None
        sampled = self.restored.sample is not None
        return signatures.Signed(root, self._signatures, self.directory / "signature", sampled)

    def _signatures(self) -> Iterable[StoredSignature]:
        if self._harbor is None:
            yield from signatures.listed_in(self.restored.root)
            return
        with sessions.connect(self._harbor) as session, session.undone():
            yield from harbor_tables.signatures(session)
