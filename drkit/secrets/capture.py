"""The secrets: files read from where they stand, packed into one bundle, encrypted before all else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drkit import config
from drkit.errors import ConfigError, IdentityRefused, RestoreDamaged
from drkit.model import CertificateFacts, SecretFile
from drkit.secrets import bundle, classify
from drkit.secrets import collect as collecting
from drkit.secrets.bundle import Bundle, Member
from drkit.secrets.fingerprints import FingerprintKey
from drkit.tools import age
from drkit.tools.age import Identity
from drkit.tools.recipient import short

FILE_NAME = "secrets.tar.age"
_PACKING = "name files and directories, each by one path, in paths in [secrets]"


@dataclass(frozen=True)
class Gathered:
    """The members of a bundle to be, each file with what it is, and what a person should know of them."""

    members: tuple[Member, ...]
    warnings: tuple[str, ...]


def gather(source: config.Secrets) -> Gathered:
    """Everything that [secrets] names; raises ConfigError for what is not there or cannot be read."""
    found = collecting.collect(source.paths)
    password = str(source.cosign_password_file) if source.cosign_password_file else None
    members = tuple(_described(member, password) for member in found.members)
    return Gathered(members, tuple(found.left_out))


def collect(paths: Sequence[Path]) -> tuple[Member, ...]:
    """The files and directories at and below the paths, as they stand; raises ConfigError."""
    return tuple(collecting.collect(paths).members)


def _described(member: Member, cosign_password: str | None) -> Member:
    if member.kind != "file":
        return member
    return replace(member, what=classify.what_is(member.path, member.data, cosign_password=cosign_password))


def described(members: Sequence[Member]) -> tuple[Member, ...]:
    """Members of an older bundle, or of one without an index, with what each file is."""
    return tuple(member if member.what else _described(member, None) for member in members)


def seal(members: Sequence[Member], recipients: Sequence[str], key: FingerprintKey) -> bytes:
    """The bundle's bytes, readable by any of the recipients and by nobody else.

    Raises ConfigError for members that would not come back from it: that must not wait for the day of need.
    """
    packed = bundle.pack(members, key.secret)
    try:
        found = bundle.unpack(packed).members
    except RestoreDamaged as error:
        raise ConfigError(f"the secrets cannot be packed: {error.message}", hint=_PACKING) from None
    if sorted(found, key=lambda m: m.path) != sorted(members, key=lambda m: m.path):
        raise ConfigError("the secrets in the bundle are not what was packed", hint=_PACKING)
    return age.encrypt(packed, recipients)


def unseal(data: bytes, identities: Sequence[Identity], recipients: Sequence[str] = ()) -> tuple[Member, ...]:
    """The members of an encrypted bundle; raises as `open_bundle`."""
    return open_bundle(data, identities, recipients).members


def open_bundle(data: bytes, identities: Sequence[Identity], recipients: Sequence[str] = ()) -> Bundle:
    """An encrypted bundle, opened in memory.

    Raises IdentityRefused, which names the recipients whose identities would do, or RestoreDamaged: also
    where it does not open for somebody whom it was sent to.
    """
    try:
        opened = bundle.unpack(age.decrypt(data, identities))
    except IdentityRefused as error:
        if not recipients:
            raise
        if mine := next((each for each in recipients if age.opens(each, identities)), None):
            raise RestoreDamaged(
                f"the secrets bundle is damaged: it does not open for its recipient {short(mine)}, whose "
                "identity is at hand",
                hint="restore the secrets from another point",
            ) from None
        wanted = ", ".join(map(short, recipients))
        raise IdentityRefused(f"{error.message}, which is for {wanted}", hint=error.hint) from None
    return replace(opened, members=described(opened.members))


def listing(members: Sequence[Member], key: FingerprintKey) -> tuple[SecretFile, ...]:
    """What is in the bundle, by path, length and kind; no plain hash of a secret is put in the open."""
    return tuple(
        SecretFile(m.path, len(m.data), m.what, key.of(m.path, m.data), f"{m.mode:04o} {m.uid}:{m.gid}")
        for m in collecting.files(members)
    )


def certificate_facts(members: Sequence[Member]) -> tuple[CertificateFacts, ...]:
    """The public facts of every certificate whose end matters; an unreadable one is left to the checks."""
    facts = []
    for member in collecting.files(members):
        try:
            found = classify.certificates_in(member.what, member.data)
        except ValueError:
            continue
        facts += [
            CertificateFacts(
                member.path, c.subject, c.issuer, c.names, c.not_before, c.not_after, c.authority
            )
            for c in found
        ]
    return tuple(facts)
