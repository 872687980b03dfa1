"""The secrets: files read from where they stand, packed into one bundle, encrypted before all else."""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from drkit.errors import ConfigError
from drkit.model import SecretFile
from drkit.sources import bundle
from drkit.sources.bundle import Member
from drkit.tools import age
from drkit.tools.age import Identity

FILE_NAME = "secrets.tar.age"


def collect(paths: Sequence[Path]) -> tuple[Member, ...]:
    """Every file and directory at and below the paths; raises ConfigError for a path that is not there.

    A link whose target is collected too stays a link; any other is followed, for its content is what counts.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise ConfigError(
                f"there is no {path}", hint="see paths in [secrets]; a key that moved is a key not saved"
            )
        found.update((str(each), each) for each in _walk(path))
    members = [_read(path, found.keys()) for path in found.values()]
    total = sum(len(member.data) for member in members)
    if total > bundle.LIMIT:
        raise ConfigError(
            f"the secrets are {total >> 20} MiB, more than {bundle.LIMIT >> 20}",
            hint="[secrets] is for certificates and keys; name the files, not a data directory",
        )
    return tuple(members)


def _walk(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir():
        for directory, names, files in os.walk(path):
            for name in (*names, *files):
                yield Path(directory, name)


def _read(path: Path, collected: Container[str]) -> Member:
    if path.is_symlink():
        target = str(path.readlink())
        if bundle.link_target(str(path), target) in collected:
            return _member(path, path.lstat(), "link", link=target)
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        return _member(path, status, "directory")
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{path} is neither file nor directory", hint="leave it out of paths in [secrets]")
    try:
        return _member(path, status, "file", data=path.read_bytes())
    except PermissionError:
        raise ConfigError(
            f"cannot read {path}", hint="drkit's user must be able to read every secret"
        ) from None


def _member(
    path: Path, status: os.stat_result, kind: bundle.Kind, *, data: bytes = b"", link: str = ""
) -> Member:
    mode = stat.S_IMODE(status.st_mode)
    return Member(str(path), kind, mode, status.st_uid, status.st_gid, status.st_mtime_ns, data, link)


def seal(members: Sequence[Member], recipients: Sequence[str]) -> bytes:
    """The bundle's bytes, readable by any of the recipients and by nobody else."""
    return age.encrypt(bundle.pack(members), recipients)


def unseal(data: bytes, identities: Sequence[Identity]) -> tuple[Member, ...]:
    """The members of an encrypted bundle; raises IdentityRefused or RestoreDamaged."""
    return bundle.unpack(age.decrypt(data, identities))


def listing(members: Sequence[Member]) -> tuple[SecretFile, ...]:
    """What is in the bundle, by path and length; no hash of a secret is put in the open."""
    return tuple(SecretFile(m.path, len(m.data)) for m in members if m.kind == "file")
