"""The image blobs in a directory, captured by restic."""

from __future__ import annotations

from contextlib import suppress
from pathlib import PurePosixPath

from drkit import config
from drkit.errors import ConfigError, SourceChanged
from drkit.harbor import storage
from drkit.progress import Listener
from drkit.tools.restic import Repository
from drkit.tools.restic_output import Saved
from drkit.volumes.freeze import Place, View, frozen

_ATTEMPTS = 3
# Volume snapshots and copies, drkit's own, where the root directory is also the top of its file system.
_OURS = ".drkit-*"


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

    link = storage.link_in_trunk(blobs.path.resolve())
    if link:
        raise ConfigError(
            f"{link} is a link, and what is behind it would not be in the backup",
            hint="mount its target there (mount --bind), or name the target as path in [blobs]",
        )


def capture(
    blobs: config.FilesystemBlobs,
    repository: Repository,
    tags: tuple[str, ...],
    host: str,
    listener: Listener,
    place: Place,
) -> tuple[Saved, View]:
    """Store the directory without uploads in flight, frozen if that can be; also tells how it was read.

    Layers are compressed already: restic need not try. A path that is a link itself is followed: restic would
    store the link alone.
    """
    look(blobs)
    path = blobs.path.resolve()
    excludes = (f"{path}/{storage.UPLOADS_PATTERN}", f"{path}/{_OURS}")
    with frozen(path, blobs.volume, place, reading_order) as view:

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
        return sorted((name for name in names if name != "_uploads"), key=lambda name: name not in first)
    return names
