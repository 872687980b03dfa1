"""Proving the secrets of a restored point: the bundle, its certificates and keys, what they open and sign."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from drkit import config
from drkit.checks import certificates, keys, named, signatures
from drkit.checks.finding import Check, Control, Unplanted, failed, undecided
from drkit.harbor import tables as harbor_tables
from drkit.harbor.tables import StoredSignature
from drkit.model import CheckKind, CheckResult, Outcome, PointManifest
from drkit.sandbox.build import Restored
from drkit.tools.postgres import sessions
from drkit.tools.postgres.targets import Target

_NO_DATABASE = "this needs the values that it opens, and their database was not restored"
_NO_IMAGES = "this needs the images that are signed, and they were not restored"


@dataclass(frozen=True)
class SecretProof:
    """The checks and controls of the secrets; `directory` is the sandbox's own."""

    manifest: PointManifest
    restored: Restored
    directory: Path
    settings: config.Secrets
    now: datetime

    def checks(self) -> Iterator[Check]:
        """Every check for which the bundle has something; of a damaged bundle, that it is.

        What they need beside it may not have come back: then those that need it are errors.
        """
        damage = self.restored.bundle_damage
        if damage:
            yield Check(CheckKind.BUNDLE, lambda: failed(damage))
            return
        members = self.restored.bundle.members
        yield from keys.checks(self.restored.bundle, self.manifest, self._harbor)
        if self._harbor is None and self.restored.lost:
            yield Check(CheckKind.SECRET_KEY, lambda: undecided(_NO_DATABASE))
        yield from named.checks(members, self.manifest)
        yield from certificates.checks(members, self.now, self.settings.expiry_warning)
        passwords = partial(signatures.passwords, self.settings, members)
        yield from signatures.checks(members, passwords, self._signed)
        if self.manifest.images and self._signed is None and signatures.has_public_key(members):
            yield Check(CheckKind.SIGNATURE, lambda: undecided(_NO_IMAGES))

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
        found = next((each for each in self.restored.databases.values() if each.harbor), None)
        return found.target if found else None

    @property
    def _signed(self) -> signatures.Signed | None:
        blobs = self.restored.blobs
        if blobs is None:
            return None
        sampled = self.restored.sample is not None
        return signatures.Signed(blobs.small, self._signatures, self.directory / "signature", sampled)

    def _signatures(self) -> Iterable[StoredSignature]:
        harbor = self.restored.harbor
        if harbor is None:
            yield from signatures.listed_in(self.restored.root)
            return
        with sessions.connect(harbor.target) as session, session.undone():
            yield from harbor_tables.signatures(session)
