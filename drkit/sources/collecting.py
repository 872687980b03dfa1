"""Finding the files that [secrets] names, and reading them as they stand.

Nothing that is named may be passed over without a word: a pattern that matches nothing, a directory that
cannot be looked into and a link that leads nowhere are errors, for a key that is not saved is found missing
too late.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drkit.errors import ConfigError
from drkit.sources import bundle, bundle_paths
from drkit.sources.bundle import Member


@dataclass
class Collected:
    """What was found, and what was left out because it is no file (a socket), with the reason."""

    members: list[Member] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def collect(paths: Sequence[Path]) -> Collected:
    """Every file and directory at and below the paths; raises ConfigError for one that is not there.

    A path may be a pattern (`*`, `?`, `[...]`, and `**` for any depth). A link whose target is collected too
    stays a link; any other is followed, for its content is what counts.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for match in _matches(path):
            _walk(match, found)
    _follow_directories(found)
    collected = Collected()
    for path in found.values():
        member = _read(path, found.keys())
        if member is None:
            collected.left_out.append(f"{path} is a socket, and not in the backup")
        else:
            collected.members.append(member)
    total = sum(len(member.data) for member in collected.members)
    if total > bundle.LIMIT:
        raise ConfigError(
            f"the secrets are {total >> 20} MiB, more than {bundle.LIMIT >> 20}",
            hint="[secrets] is for certificates and keys; name the files, not a data directory",
        )
    return collected


def _matches(path: Path) -> list[Path]:
    if os.path.lexists(path):
        return [path]
    if not glob.has_magic(str(path)):
        raise ConfigError(
            f"there is no {path}", hint="see paths in [secrets]; a key that moved is a key not saved"
        )
    # Hidden files too, which a shell's `*` would pass over. (pathlib has no patterns with a root.)
    found = sorted(glob.glob(str(path), recursive=True, include_hidden=True))  # noqa: PTH207
    if not found:
        raise ConfigError(
            f"nothing matches {path}", hint="see paths in [secrets]; a key that moved is a key not saved"
        )
    return [Path(each) for each in found]


def _walk(path: Path, found: dict[str, Path]) -> None:
    def refuse(error: OSError) -> None:
        raise ConfigError(
            f"cannot look into {error.filename}: {error.strerror}",
            hint="drkit's user must be able to read every secret",
        )

    found[str(path)] = path
    if path.is_dir():
        for directory, names, files in os.walk(path, onerror=refuse):
            found.update((str(each), each) for each in (Path(directory, name) for name in (*names, *files)))


def _follow_directories(found: dict[str, Path]) -> None:
    """Look behind links to directories that are not collected anyway, each once however the links go."""
    seen: set[str] = set()
    pending = list(found.values())
    while pending:
        path = pending.pop()
        if not (path.is_symlink() and path.is_dir()) or _leads_to(path) in found:
            continue
        real = os.path.realpath(path)
        if real in seen or real in (os.path.realpath(parent) for parent in path.parents):
            raise ConfigError(
                f"the link {path} leads to a directory that is collected already",
                hint="name that directory itself in paths in [secrets], so that the link can stay one",
            )
        seen.add(real)
        before = set(found)
        _walk(path, found)
        pending += [each for name, each in found.items() if name not in before]


def _leads_to(path: Path) -> str:
    return bundle_paths.link_target(str(path), str(path.readlink()))


def _read(path: Path, collected: Container[str]) -> Member | None:
    if bundle_paths.unprintable(str(path)):
        raise ConfigError(
            f"there is a control character in the name of {str(path)!r}",
            hint="rename the file; such a name could forge a line of a report",
        )
    try:
        if path.is_symlink() and _leads_to(path) in collected:
            return _member(path, path.lstat(), "link", link=str(path.readlink()))
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return _member(path, status, "directory")
        if stat.S_ISSOCK(status.st_mode):
            return None
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(
                f"{path} is neither file nor directory", hint="leave it out of paths in [secrets]"
            )
        if status.st_size > bundle.LIMIT:
            raise ConfigError(
                f"{path} is larger than {bundle.LIMIT >> 20} MiB",
                hint="[secrets] is for certificates and keys; name the files, not a data directory",
            )
        return _member(path, status, "file", data=path.read_bytes())
    except PermissionError:
        raise ConfigError(
            f"cannot read {path}", hint="drkit's user must be able to read every secret"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {_why(path, error)}", hint="mend it, or leave it out of paths in [secrets]"
        ) from None


def _why(path: Path, error: OSError) -> str:
    if path.is_symlink() and not path.exists():
        return f"it is a link to {path.readlink()}, which is not there"
    return error.strerror or str(error)


def _member(
    path: Path, status: os.stat_result, kind: bundle.Kind, *, data: bytes = b"", link: str = ""
) -> Member:
    mode = stat.S_IMODE(status.st_mode)
    return Member(str(path), kind, mode, status.st_uid, status.st_gid, status.st_mtime_ns, data, link)


def files(members: Sequence[Member]) -> Iterator[Member]:
    """The files among members."""
    return (member for member in members if member.kind == "file")
