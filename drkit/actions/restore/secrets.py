"""The secrets of a point: opened in memory, compared with what is there, and put in place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from drkit import config
from drkit.checks import certificates
from drkit.errors import ConfigError, UsageError
from drkit.harbor.hostname import moved
from drkit.model import Outcome
from drkit.model.set_aside import there
from drkit.points.seal_files import SealFiles
from drkit.secrets import capture
from drkit.secrets import install as placing
from drkit.secrets.bundle import Member
from drkit.secrets.kinds import SecretKind
from drkit.tools import age


def identity_file(settings: config.Config, wished: Path | None) -> Path | None:
    """The file with the identity that opens the bundle."""
    return wished or settings.secrets.identity_file


def open_members(files: SealFiles, identity: Path | None, hostname: str = "") -> tuple[Member, ...]:
    """The bundle's members, decrypted in memory; raises ConfigError where there is no identity.

    With a `hostname` harbor.yml says that one; raises UsageError where there is none.
    """
    if identity is None:
        raise ConfigError(
            "there is no age identity to open the secrets with",
            hint="give --identity FILE, or restore the rest with --only database and --only blobs",
        )
    sealed = files.data("secrets", "secrets")
    members = capture.unseal(sealed, age.read_identities(identity), files.manifest.recipients)
    return _moved(members, hostname) if hostname else members


def _moved(members: tuple[Member, ...], hostname: str) -> tuple[Member, ...]:
    if not any(member.what == SecretKind.HARBOR_YML for member in members):
        raise UsageError(
            "there is no harbor.yml in this point, which --hostname would change",
            hint="leave it out: a plain registry has no name of its own",
        )
    return tuple(
        replace(
            member,
            data=moved(member.data.decode("utf-8", "surrogateescape"), hostname).encode(
                "utf-8", "surrogateescape"
            ),
        )
        if member.what == SecretKind.HARBOR_YML
        else member
        for member in members
    )


def of_hostname(members: tuple[Member, ...]) -> str:
    """What is wrong with the certificate for the name that harbor.yml says; nothing where it fits."""
    if certificates.installation(members) is None:
        return ""
    found = certificates.hostname_is_covered(members)
    return "" if found.outcome is Outcome.PASSED else found.detail


def configuration(files: SealFiles) -> Member | None:
    """The file of the configuration, where the point has it and its secrets do not have it as well."""
    manifest = files.manifest
    place = manifest.configuration
    if place is None or any(file.path == place.path for file in manifest.secret_files):
        return None
    taken = int(manifest.consistent_at.timestamp()) * 10**9
    data = files.data("configuration", "configuration")
    return Member(place.path, "file", place.mode, place.uid, place.gid, taken, data)


def look(files: SealFiles, identity: Path | None, root: Path | None, hostname: str = "") -> tuple[str, bool]:
    """What is there of the secret files, in a few words, and whether it is in the way.

    Files that are as they were packed are not. Without an identity nobody can tell: then every file that is
    there counts.
    """
    paths = [placing.below(root, file.path) for file in files.manifest.secret_files]
    present = [path for path in paths if there(path)]
    if identity is None:
        found = present
    else:
        members = open_members(files, identity, hostname)
        placing.refuse_system(members, root)
        found = placing.obstacles(members, root)
    if found:
        return f"{len(found)} of the files, such as {found[0]}", True
    return f"{len(present)} of them, as they were packed" if present else "nothing", False
