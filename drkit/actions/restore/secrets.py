"""The secrets of a point: opened in memory, compared with what is there, and put in place."""

from __future__ import annotations

from pathlib import Path

from drkit import config
from drkit.errors import ConfigError
from drkit.model.set_aside import there
from drkit.points.seal_files import SealFiles
from drkit.secrets import capture
from drkit.secrets import install as placing
from drkit.secrets.bundle import Member
from drkit.tools import age


def identity_file(settings: config.Config, wished: Path | None) -> Path | None:
    """The file with the identity that opens the bundle."""
    return wished or settings.secrets.identity_file


def open_members(files: SealFiles, identity: Path | None) -> tuple[Member, ...]:
    """The bundle's members, decrypted in memory; raises ConfigError where there is no identity."""
    if identity is None:
        raise ConfigError(
            "there is no age identity to open the secrets with",
            hint="give --identity FILE, or restore the rest with --only database and --only blobs",
        )
    sealed = files.data("secrets", "secrets")
    return capture.unseal(sealed, age.read_identities(identity), files.manifest.recipients)


def configuration(files: SealFiles) -> Member | None:
    """The file of the configuration, where the point has it and its secrets do not have it as well."""
    manifest = files.manifest
    place = manifest.configuration
    if place is None or any(file.path == place.path for file in manifest.secret_files):
        return None
    taken = int(manifest.consistent_at.timestamp()) * 10**9
    data = files.data("configuration", "configuration")
    return Member(place.path, "file", place.mode, place.uid, place.gid, taken, data)


def look(files: SealFiles, identity: Path | None, root: Path | None) -> tuple[str, bool]:
    """What is there of the secret files, in a few words, and whether it is in the way.

    Files that are as they were packed are not. Without an identity nobody can tell: then every file that is
    there counts.
    """
    paths = [placing.below(root, file.path) for file in files.manifest.secret_files]
    present = [path for path in paths if there(path)]
    if identity is None:
        found = present
    else:
        members = open_members(files, identity)
        placing.refuse_system(members, root)
        found = placing.obstacles(members, root)
    if found:
        return f"{len(found)} of the files, such as {found[0]}", True
    return f"{len(present)} of them, as they were packed" if present else "nothing", False
