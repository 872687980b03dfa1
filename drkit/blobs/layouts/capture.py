"""A directory of OCI layouts, captured by restic.

Registries put a blob under its name only when it is whole, and write an index.json after all that it names.
So a frozen directory is whole. One that is read live may have an index.json that was read after blobs which
were not there yet: that shows when it is proved, and then it is read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from drkit import config
from drkit.blobs.directory.listing import LINK_HINT
from drkit.errors import ConfigError, SourceChanged
from drkit.progress import Listener
from drkit.registry import layouts
from drkit.tools.restic import patterns
from drkit.tools.restic.output import Saved
from drkit.tools.restic.repository import Repository
from drkit.tools.tally import first_few
from drkit.volumes.freeze import Place, View, frozen

_ATTEMPTS = 3
# So many directories are told of one by one.
_NAMED = 5
# Beside the repositories, and not reported: zot makes them anew, or they are the file system's own.
_USUAL = frozenset({"cache.db", "_trivy", "_sessions", "_restore_complete", "lost+found", layouts.METADATA})
# Beside the repositories, too: the keys and certificates that were given to zot to check signatures with.
_TRUSTED = ("_cosign", "_notation")


def look(blobs: config.LayoutBlobs) -> None:
    """Raise ConfigError where the root directory is not there, or holds something other than layouts."""
    if not blobs.path.is_dir():
        raise ConfigError(
            f"there is no blob directory {blobs.path}", hint="see path in [blobs]; is the volume mounted?"
        )
    if (blobs.path / "docker/registry").exists():
        raise ConfigError(
            f"{blobs.path} holds the tree of a distribution registry, and no OCI layouts",
            hint='kind in [blobs] is "filesystem" for it',
        )
    for entry in sorted(blobs.path.iterdir()):
        if entry.is_symlink() and entry.is_dir() and layouts.may_hold(entry.name):
            raise ConfigError(f"{entry} is a symbolic link, and would not be in the backup", hint=LINK_HINT)
    if next(layouts.repositories(blobs.path), None) is None and not (blobs.path / "cache.db").exists():
        raise ConfigError(
            f"{blobs.path} holds no registry: no repository with an {layouts.INDEX} is in it",
            hint="path in [blobs] is zot's storage.rootDirectory",
        )


def capture(
    blobs: config.LayoutBlobs,
    repository: Repository,
    tags: tuple[str, ...],
    host: str,
    listener: Listener,
    place: Place,
) -> tuple[Saved, View]:
    """Store the repositories without uploads in flight, frozen if that can be; also tells how it was read.

    zot's own database of users' API keys and bookmarks is stored with them where the view is frozen: it is
    made for a power cut, but not for being read while it is written.
    """
    look(blobs)
    path = blobs.path.resolve()
    with frozen(path, blobs.volume, place, reading_order) as view:
        excludes, said = _left_out(path, live=view.kind == "live")
        view.warnings.extend(said)

        def save() -> Saved:
            return repository.save_directory(
                path,
                tags,
                host,
                excludes=excludes,
                compress=False,
                mounts=view.mounts,
                same_files=view.same_files,
                listener=listener,
            )

        # Somebody may delete an image while it is read; the next attempt reads only what is new.
        for _ in range(_ATTEMPTS - 1):
            with suppress(SourceChanged):
                return save(), view
        return save(), view


def reading_order(directory: PurePosixPath, names: list[str]) -> list[str]:
    """An index before the blobs that it names; no uploads in flight.

    A push writes them the other way round. So whatever an index that was read needs was there before it.
    """
    kept = [name for name in names if not name.startswith((".", "_"))]
    if directory == PurePosixPath():
        kept = [name for name in kept if layouts.may_hold(name)]
    return sorted(kept, key=lambda name: name != layouts.INDEX)


def _left_out(root: Path, *, live: bool) -> tuple[list[str], list[str]]:
    """Patterns for what is no part of a repository, and sentences on what of it is worth one."""
    left_out = [f"{patterns.literal(root)}/**/{start}*" for start in (".", "_")]
    strange, said = [], []
    for entry in sorted(root.iterdir()):
        if entry.is_dir() and not entry.is_symlink() and layouts.may_hold(entry.name):
            continue
        if entry.name == layouts.METADATA and not live:
            continue
        left_out.append(patterns.literal(entry))
        if entry.name in _TRUSTED:
            said.append(
                f"{entry} is not in the backup: zot checks signatures with what is there; name it in paths of"
                " [secrets]"
            )
        elif entry.name not in _USUAL and not entry.name.startswith("."):
            strange.append(entry.name)
    strays = layouts.strays(root)
    # A drill and a restore would leave these out, and say so.
    left_out += [patterns.literal(root / name) for name in strays.foreign]
    strange += [name for name in strays.foreign if PurePosixPath(name).name not in _USUAL]
    if strange:
        said.append(f"{first_few(strange)} in {root}: no part of the registry, and not in the backup")
    said += _broken(root, strays.broken)
    if live and (root / layouts.METADATA).exists():
        said.append(
            f"{root / layouts.METADATA} is not in the backup, for {root} is read live: users' API keys,"
            " bookmarks and counts of downloads would be lost; a volume that can be frozen keeps them"
        )
    return left_out, said


def _broken(root: Path, found: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Sentences on directories that have blobs and are no repositories, by what they lack."""
    for name, why in found[:_NAMED]:
        yield f"{root / name} has blobs and is no repository, for {why}: zot serves nothing of it"
    if (more := len(found) - _NAMED) > 0:
        yield f"so it is with {more:,} more directories in {root}"
