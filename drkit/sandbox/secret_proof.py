"""Proving the secrets of a restored point: the bundle, its certificates and keys, what they open and sign."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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


class SecretProof:
    """The checks and controls of the secrets; `directory` is the sandbox's own."""

    def __init__(
        self,
        manifest: PointManifest,
        restored: Restored,
        directory: Path,
        settings: config.Secrets,
        now: datetime,
    ) -> None:
        self._manifest = manifest
        self._restored = restored
        self._directory = directory
        self._settings = settings
        self._now = now

    def checks(self) -> Iterator[Check]:
        """Every check for which the bundle has something; of a damaged bundle, that it is."""
        damage = self._restored.bundle_damage
        if damage:
            yield Check(CheckKind.BUNDLE, lambda: failed(damage))
            return
        members = self._restored.bundle.members
        yield from keys.checks(self._restored.bundle, self._manifest, self._harbor)
        yield from named.checks(members, self._manifest)
        yield from certificates.checks(members, self._now, self._settings.expiry_warning)
        passwords = partial(signatures.passwords, self._settings, members)
        yield from signatures.checks(members, passwords, self._signed)

    def controls(self, checks: Sequence[CheckResult]) -> Iterator[Control | Unplanted]:
        """A fault for every check that passed, so that what turned green is known to turn red."""
        if self._restored.bundle_damage:
            return
        outcomes = {check.kind: check.outcome for check in checks}
        members, sealed = self._restored.bundle.members, self._restored.sealed
        proved = outcomes.get(CheckKind.SECRET_KEY) is Outcome.PASSED
        yield from keys.controls(self._restored.bundle, sealed, self._harbor, key_proved=proved)
        yield from named.controls(members, self._manifest, outcomes.get(CheckKind.NAMED_FILES))
        yield from certificates.controls(members, outcomes, self._now)
        yield from signatures.controls(members, self._signed, outcomes)

    @property
    def _harbor(self) -> Target | None:
        return self._restored.harbor.target if self._restored.harbor else None

    @property
    def _signed(self) -> signatures.Signed | None:
        root = self._restored.blobs_root
        if root is None:
            return None
        sampled = self._restored.sample is not None
        return signatures.Signed(root, self._signatures, self._directory / "signature", sampled)

    def _signatures(self) -> Iterable[StoredSignature]:
        if self._harbor is None:
            root = self._restored.blobs_root
            assert root is not None
            yield from signatures.listed_in(root)
            return
        with sessions.connect(self._harbor) as session, session.undone():
            yield from harbor_tables.signatures(session)
