"""The image blobs in a directory: captured by restic, then compared with what the databases refer to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from drkit import config
from drkit.errors import ConfigError, SourceChanged, ToolFailed
from drkit.harbor import storage
from drkit.model import Closure
from drkit.progress import Listener
from drkit.tools.restic import Repository
from drkit.tools.restic_output import Saved
from drkit.volumes.freeze import Place, View, frozen

Digest = tuple[str, int | None]

_ATTEMPTS = 3
# Volume snapshots and copies, drkit's own, where the root directory is also the top of its file system.
_OURS = ".drkit-*"


@dataclass(frozen=True)
class Damage:
    """What is wrong with a closure: in production too (its own damage), or in the capture alone (ours)."""

    in_production: int
    in_capture: tuple[str, ...]


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
    blobs: config.Blobs,
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
    """A registry's links before its blobs, so that no link is younger than its blob; no uploads in flight."""
    if directory == storage.TREE:
        return sorted(names, key=lambda name: name != storage.REPOSITORIES.name)
    if storage.REPOSITORIES in (directory, *directory.parents):
        return [name for name in names if name != "_uploads"]
    return names


def captured_blobs(repository: Repository, snapshot: str, root: str) -> Iterator[tuple[str, int]]:
    """Digest and size of every blob in a snapshot, sorted by digest, as a stream."""
    for node in repository.nodes(snapshot, f"{root}/{storage.BLOBS}"):
        digest = storage.digest_of_blob(node.path)
        if digest and node.size is not None:
            yield digest, node.size


def captured_links(repository: Repository, snapshot: str, root: str) -> Iterator[Digest]:
    """The digest of every layer and revision link in a snapshot; for a registry without a database."""
    for node in repository.nodes(snapshot, f"{root}/{storage.REPOSITORIES}"):
        digest = storage.digest_of_link(node.path)
        if digest:
            yield digest, None


def compare(
    root: Path, referenced: Iterable[Digest], present: Iterable[tuple[str, int]]
) -> tuple[Closure, Damage]:
    """The closure of a capture, and whose fault its gaps are: each is looked up in production at once."""
    lost: list[str] = []
    sizes: dict[str, int | None] = {}
    damaged = 0

    def remember(digests: Iterable[Digest]) -> Iterator[Digest]:
        for digest, size in digests:
            sizes.clear()
            sizes[digest] = size
            yield digest, size

    def fault(digest: str) -> None:
        nonlocal damaged
        if _good_in_production(root, digest, sizes[digest]):
            lost.append(digest)
        else:
            damaged += 1

    closure = storage.closure(remember(referenced), present, fault)
    return closure, Damage(damaged, tuple(lost))


def _good_in_production(root: Path, digest: str, size: int | None) -> bool:
    path = storage.blob_path(root, digest)
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ToolFailed(f"cannot look at {path}: {error.strerror}") from None
    return size is None or found == size
