"""The image blobs in a directory, captured by restic."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path, PurePosixPath

from drkit import config
from drkit.blobs.directory import held_links
from drkit.blobs.directory.listing import LINK_HINT
from drkit.errors import ConfigError, SourceChanged
from drkit.progress import Listener
from drkit.registry import metadata_database, storage
from drkit.tools.restic import patterns
from drkit.tools.restic.output import Saved
from drkit.tools.restic.repository import Repository
from drkit.tools.tally import first_few
from drkit.volumes.freeze import Place, View, frozen

_ATTEMPTS = 3
# Beside the tree, and not reported: the file system's own, and hidden ones, such as drkit's
# volume snapshots; and the timetable of a pull-through cache, by which it would remove what comes back.
_USUAL = ("lost+found", "scheduler-state.json")


def look(blobs: config.FilesystemBlobs) -> None:
    """Raise ConfigError where the root directory is not there or holds no registry."""
    if not blobs.path.is_dir():
        raise ConfigError(
            f"there is no blob directory {blobs.path}", hint="see path in [blobs]; is the volume mounted?"
        )
    if not (blobs.path / storage.TREE).is_dir():
        raise ConfigError(
            f"{blobs.path} holds no registry: there is no {storage.TREE} in it",
            hint="path in [blobs] is the registry's root directory, which has `docker/` in it",
        )
    metadata_database.refuse_tree(str(blobs.path), lambda name: (blobs.path / name).exists())
    found = storage.special_in_trunk(blobs.path.resolve())
    if found:
        what = "a symbolic link" if found.is_symlink() else "neither a file nor a directory"
        raise ConfigError(f"{found} is {what}, and would not be in the backup", hint=LINK_HINT)


def not_captured(root: Path) -> str:
    """A sentence on what stands beside or in the registry's tree; empty where nothing is worth one."""
    names = [n for n in storage.beside_tree(root) if n not in _USUAL and not n.startswith(".")]
    inside = (n for n in storage.foreign_in_tree(root) if n not in _USUAL and not n.startswith("."))
    names += [str(storage.TREE / n) for n in inside]
    if not names:
        return ""
    return f"{first_few(names)} in {root}: no part of the registry, and not in the backup"


def capture(
    blobs: config.FilesystemBlobs,
    repository: Repository,
    tags: tuple[str, ...],
    host: str,
    listener: Listener,
    place: Place,
    hold: Path | None = None,
) -> tuple[Saved, View]:
    """Store the registry's tree without uploads in flight, frozen if that can be; also tells how it was read.

    A tree that is read live has its links copied to `hold` first, if that is given, see held_links.

    What else stands in the root directory (`lost+found`, what a restore has set aside) is left out.

    Layers are compressed already: restic need not try. A path that is a link itself is followed: restic would
    store the link alone.
    """
    look(blobs)
    path = blobs.path.resolve()
    # A drill and a restore would leave out what is no part of a tree, and say so.
    foreign = (patterns.literal(path / storage.TREE / name) for name in storage.foreign_in_tree(path))
    excludes = (*storage.uploads_patterns(path), *foreign)
    with (
        frozen(path, blobs.volume, place, reading_order) as view,
        held_links.held(path, hold, reading_order)
        if hold and view.kind == "live"
        else nullcontext(()) as held,
    ):
        if beside := not_captured(path):
            view.warnings.append(beside)

        def save() -> Saved:
            return repository.save_directory(
                path / storage.TREE,
                tags,
                host,
                excludes=excludes,
                compress=False,
                mounts=(*view.mounts, *held),
                same_files=view.same_files,
                listener=listener,
            )

        # Somebody may delete an image while its links are read; the next attempt reads only what is new.
        for _ in range(_ATTEMPTS - 1):
            with suppress(SourceChanged):
                return save(), view
        return save(), view


def reading_order(directory: PurePosixPath, names: list[str]) -> list[str]:
    """What refers before what is referred to: tags, revisions, layers, blobs; no uploads in flight.

    A push writes them the other way round. So whatever a tag that was read needs was there before it.
    """
    if directory == storage.TREE:
        return sorted(names, key=lambda name: name != storage.REPOSITORIES.name)
    if storage.REPOSITORIES in (directory, *directory.parents):
        first = {"_manifests", "tags"}
        kept = (name for name in names if not storage.in_upload(f"{directory}/{name}"))
        return sorted(kept, key=lambda name: name not in first)
    return names
