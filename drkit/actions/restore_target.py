"""Where the image blobs of a point go, what is in the way there, and where they come from."""

from __future__ import annotations

from pathlib import Path

from drkit import config
from drkit.errors import ConfigError
from drkit.harbor import storage
from drkit.model import Manifest
from drkit.sources import placing
from drkit.sources.bucket.ends import below, place_of_blobs
from drkit.sources.bucket.filling import MARK
from drkit.sources.bucket.opening import open_bucket
from drkit.sources.vault import reading as vault_reading

# Below --root: where a bucket's blobs go, which had no directory of their own.
_DIRECTORY = "registry"


def target(settings: config.Config, manifest: Manifest, root: Path | None) -> Path | config.BucketBlobs:
    """Below `root`, else where the configuration has the blobs, else the directory where they were.

    Raises ConfigError where nothing of that says a place.
    """
    if root is not None:
        return placing.below(root, _old_directory(settings, manifest) or _DIRECTORY)
    match settings.blobs:
        case config.BucketBlobs():
            return settings.blobs
        case config.FilesystemBlobs(path=path):
            # A link stays: its target is what gets replaced.
            return path.resolve() if path.is_symlink() else path
        case None:
            pass
    directory = _old_directory(settings, manifest)
    if directory is None:
        raise ConfigError(
            f"the image blobs were in {manifest.blobs_root}, and nothing says where they go",
            hint="give --root DIR, or write [blobs] with the bucket or the directory that they go to",
        )
    return Path(directory)


def _old_directory(settings: config.Config, manifest: Manifest) -> str | None:
    if manifest.bucket is None:
        return manifest.blobs_root or "/data/registry"
    return str(settings.blobs.path) if isinstance(settings.blobs, config.FilesystemBlobs) else None


def obstacles(where: Path | config.BucketBlobs, point: str) -> str:
    """What is in the way, in a few words; empty where nothing is, or only what this restore left itself.

    In a bucket that is anything in the registry's own tree: what else stands there is never written over.
    """
    if isinstance(where, Path):
        return placing.obstacles(where)
    with open_bucket(where) as bucket:
        root = below(place_of_blobs(where))
        found = bucket.first(f"{root}{storage.TREE.parts[0]}/")
        if found is None:
            return ""
        start = f"{root}{MARK}"
        if bucket.first(f"{start}{point}"):
            return ""
        mark = bucket.first(start)
        other = f" of an interrupted restore of {mark.key.removeprefix(start)}" if mark else ""
        return f"objects{other}, such as {found.key}"


def look_at_vault(settings: config.Config, manifest: Manifest) -> str:
    """See that the vault of a bucket's point can be read; says where it is (empty for other points).

    Raises ConfigError and the bucket's errors.
    """
    if manifest.bucket is None:
        return ""
    with vault_reading.opened(settings, manifest.bucket) as shelf:
        shelf.bucket.first(f"{below(shelf.place)}{storage.BLOBS}/")
        return shelf.place.where
