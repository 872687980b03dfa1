"""Finding the files that [secrets] names, and reading them as they stand.

Nothing that is named may be passed over without a word: a pattern that matches nothing, a directory that
cannot be looked into and a link that leads nowhere are errors, for a key that is not saved is found missing
too late.
"""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drkit.errors import ConfigError
from drkit.model.set_aside import PARTIAL, is_aside
from drkit.secrets import bundle, bundle_paths
from drkit.secrets.bundle import Member


@dataclass
class Collected:
    """What was found, and what was left out with the reason: it is no file, or a restore has set it aside."""

    members: list[Member] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def collect(paths: Sequence[Path], limit: int = bundle.LIMIT) -> Collected:
    """Every file and directory at and below the paths; raises ConfigError for one that is not there.

    A path may be a pattern (`*`, `?`, `[...]`, and `**` for any depth). A link whose target is collected too
    stays a link; any other is followed, for its content is what counts.
    """
    found: dict[str, Path] = {}
    aside: set[str] = set()
    for path in paths:
        for match in _matches(path, aside):
            _walk(match, found, aside)
    _follow_directories(found, aside)
    collected = Collected()
    left_out = "was set aside by a restore, and is not in the backup"
    collected.left_out += [f"{path} {left_out}" for path in sorted(aside)]
    above = _above(found)
    for path in found.values():
        member = _read(path, found, above, limit)
        if member is None:
            collected.left_out.append(f"{path} is a socket, and not in the backup")
        else:
            collected.members.append(member)
    total = sum(len(member.data) for member in collected.members)
    if total > limit:
        raise ConfigError(
            f"the secrets are {total >> 20} MiB, more than {limit >> 20}",
            hint="[secrets] is for certificates and keys; name the files, not a data directory",
        )
    return collected


def _matches(path: Path, aside: set[str]) -> list[Path]:
    if os.path.lexists(path):
        return [path]
    nothing = ConfigError(
        f"nothing matches {path}" if glob.has_magic(str(path)) else f"there is no {path}",
        hint="see paths in [secrets]; a key that was moved is not backed up",
    )
    if not glob.has_magic(str(path)):
        raise nothing
    # Hidden files too, which a shell's `*` would pass over. (pathlib has no patterns with a root.)
    found = sorted(map(Path, glob.glob(str(path), recursive=True, include_hidden=True)))  # noqa: PTH207
    kept = [each for each in found if not _is_restores(each, aside)]
    if not kept:
        raise nothing
    return kept


def _is_restores(path: Path, aside: set[str]) -> bool:
    """Whether a path is, or is below, what a restore has set aside (noted in `aside`) or half written."""
    for each in (path, *path.parents):
        if is_aside(each.name):
            aside.add(str(each))
            return True
    return path.name == PARTIAL


def _walk(path: Path, found: dict[str, Path], aside: set[str]) -> None:
    def refuse(error: OSError) -> None:
        raise ConfigError(
            f"cannot read the directory {error.filename}: {error.strerror}",
            hint="drkit's user must be able to read every secret",
        )

    found[str(path)] = path
    if path.is_dir():
        for directory, names, files in os.walk(path, onerror=refuse):
            for name in [*names, *files]:
                each = Path(directory, name)
                if is_aside(name) or name == PARTIAL:
                    names[:] = [other for other in names if other != name]
                    aside.update([str(each)] if is_aside(name) else [])
                else:
                    found[str(each)] = each


def _follow_directories(found: dict[str, Path], aside: set[str]) -> None:
    """Look behind links to directories that are not collected anyway, each once however the links go."""
    seen: set[str] = set()
    above = _above(found)
    pending = list(found.values())
    while pending:
        path = pending.pop()
        if not (path.is_symlink() and path.is_dir()):
            continue
        if _stays_link(path, found) and str(path) not in above:
            continue
        real = os.path.realpath(path)
        if real in seen or real in (os.path.realpath(parent) for parent in path.parents):
            raise ConfigError(
                f"the link {path} leads to a directory that is collected already",
                hint="name that directory itself in paths in [secrets], so that the link can stay one",
            )
        seen.add(real)
        before = set(found)
        _walk(path, found, aside)
        pending += [each for name, each in found.items() if name not in before]


def _above(found: Mapping[str, Path]) -> set[str]:
    """The directories that something stands in: nothing is unpacked below a link, so none may stay one."""
    return {str(parent) for path in found.values() for parent in path.parents}


def _leads_to(path: Path) -> str:
    return bundle_paths.link_target(str(path), _link(path))


def _link(path: Path) -> str:
    return os.readlink(path)  # noqa: PTH115 - pathlib would tidy it up, and it shall come back as it was


def _stays_link(path: Path, collected: Container[str]) -> bool:
    """Whether a link leads to what is collected too, by its words and as the kernel follows it.

    Raises ConfigError for one that leads nowhere, or in a circle.
    """
    if not path.is_symlink() or _leads_to(path) not in collected:
        return False
    parts = _link(path).split("/")
    if ".." in parts[next((n for n, part in enumerate(parts) if part not in ("", ".", "..")), 0) :]:
        # A way round: through another link it could end elsewhere, and a bundle takes none.
        return False
    try:
        return os.path.realpath(path, strict=True) == os.path.realpath(_leads_to(path), strict=True)
    except OSError as error:
        raise _unreadable(path, error) from None


def _read(path: Path, collected: Container[str], above: Container[str], limit: int) -> Member | None:
    if bundle_paths.unprintable(str(path)):
        raise ConfigError(
            f"a control character is in the name of {str(path)!r}",
            hint="rename the file; such a name could forge a line of a report",
        )
    if bundle_paths.is_system(str(path)):
        raise ConfigError(
            f"{path} belongs to the operating system, and no restore would put it there",
            hint="leave it out of paths in [secrets]",
        )
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"the name of {str(path)!r} is no UTF-8", hint="rename the file; a report could not name it"
        ) from None
    try:
        if str(path) not in above and _stays_link(path, collected):
            return _member(path, path.lstat(), "link", link=_link(path))
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return _member(path, status, "directory")
        if stat.S_ISSOCK(status.st_mode):
            return None
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(
                f"{path} is neither file nor directory", hint="leave it out of paths in [secrets]"
            )
        if status.st_size > limit:
            raise ConfigError(
                f"{path} is larger than {limit >> 20} MiB",
                hint="[secrets] is for certificates and keys; name the files, not a data directory",
            )
        return _member(path, status, "file", data=path.read_bytes())
    except PermissionError:
        raise ConfigError(
            f"cannot read {path}", hint="drkit's user must be able to read every secret"
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot read {path}: {_why(path, error)}", hint="correct it, or leave it out of paths in [secrets]"
    )


def _why(path: Path, error: OSError) -> str:
    if error.errno != errno.ELOOP and path.is_symlink() and not path.exists():
        return f"it is a link to {path.readlink()}, which is not there"
    return error.strerror or str(error)


def _member(
    path: Path, status: os.stat_result, kind: bundle.Kind, *, data: bytes = b"", link: str = ""
) -> Member:
    # setuid, setgid and the sticky bit do not come back: no secret needs them.
    mode = stat.S_IMODE(status.st_mode) & 0o777
    return Member(str(path), kind, mode, status.st_uid, status.st_gid, status.st_mtime_ns, data, link)


def files(members: Sequence[Member]) -> Iterator[Member]:
    """The files among members."""
    return (member for member in members if member.kind == "file")
