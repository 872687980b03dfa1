"""The image blobs in a directory, captured by restic."""

from __future__ import annotations

from contextlib import suppress

from drkit import config
from drkit.errors import ConfigError, SourceChanged
from drkit.harbor import storage
from drkit.progress import Listener
from drkit.tools.restic import Repository
from drkit.tools.restic_output import Saved
from drkit.volumes import live

_ATTEMPTS = 3


def look(blobs: config.Blobs) -> None:
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
    blobs: config.Blobs, repository: Repository, tags: tuple[str, ...], host: str, listener: Listener
) -> Saved:
    """Store the directory without uploads in flight. Layers are compressed already: restic need not try.

    A path that is a link itself is followed: restic would store the link alone.
    """
    look(blobs)
    with live.frozen(blobs.path.resolve()) as view:
        excludes = (f"{view}/{storage.UPLOADS_PATTERN}",)

        def save() -> Saved:
            return repository.save_directory(
                view, tags, host, excludes=excludes, compress=False, listener=listener
            )

        # Somebody may delete an image while its links are read; the next attempt reads only what is new.
        for _ in range(_ATTEMPTS - 1):
            with suppress(SourceChanged):
                return save()
        return save()
