"""What is wrong with the secrets, said on the day: by backups, by `doctor`, by `status` from manifests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from drkit import config
from drkit.checks import certificates
from drkit.checks.finding import Finding
from drkit.errors import ConfigError
from drkit.model import Outcome
from drkit.secrets.bundle import Member
from drkit.tools import age, dsse, passphrases


def of_content(members: Sequence[Member], now: datetime, warning: timedelta) -> tuple[str, ...]:
    """What the drill's own checks would turn red for, without a sandbox to try it in."""
    found = _look(members, now, warning)
    return tuple(finding.detail for finding in found if finding.outcome is Outcome.FAILED)


def unproved(members: Sequence[Member], now: datetime, warning: timedelta) -> tuple[str, ...]:
    """What they would call not provable: an issuer that is not in the bundle, say."""
    found = _look(members, now, warning)
    return tuple(finding.detail for finding in found if finding.outcome is Outcome.NOT_PROVABLE)


def _look(members: Sequence[Member], now: datetime, warning: timedelta) -> list[Finding]:
    """The same checks as a drill's, so that both always say the same."""
    # Here and below, for `status` reads manifests alone, and needs no database and no signatures.
    from drkit.checks import keys, pairs

    found = [pairs.keys_whole(keys.contents(members))]
    return found + [check.look() for check in certificates.checks(members, now, warning)]


def of_signing_keys(settings: config.Secrets, members: Sequence[Member]) -> tuple[str, ...]:
    """What is wrong with cosign's key pairs; takes a fraction of a second and 64 MiB a key.

    Raises ConfigError where the password file cannot be read.
    """
    from drkit.checks import signatures

    passwords = partial(signatures.passwords, settings, members)
    found = [check.look() for check in signatures.checks(members, passwords, None)]
    return tuple(finding.detail for finding in found if finding.outcome is Outcome.FAILED)


def of_recipients(settings: config.Secrets) -> tuple[str, ...]:
    """That the identity here opens no new bundle; nothing of one that needs a passphrase typed."""
    path = settings.identity_file
    if path is None or not settings.paths:
        return ()
    try:
        if passphrases.needed(path.read_bytes()):
            return ()
        opened = age.opened(settings.recipients, age.read_identities(path))
    except (OSError, ConfigError) as error:
        return (f"whether identity_file opens the secrets cannot be told: {error}",)
    if opened:
        return ()
    return (
        f"{path} opens none of the recipients, so no drill here can open the secrets of this point: see"
        " recipients and identity_file in [secrets]",
    )


def report_key(settings: config.Config) -> tuple[str, tuple[str, ...]]:
    """The public half of the key that signs reports of drills, and a warning where it cannot be read."""
    path = settings.drill.signing_key
    if path is None:
        return "", ()
    try:
        return dsse.read_public(path), ()
    except ConfigError as error:
        return "", (f"this point does not say who signs reports of drills: {error.message}",)
