"""Where the image blobs of a point go, what is in the way there, and where they come from."""

from __future__ import annotations

import shutil
from pathlib import Path

from drkit import config
from drkit.blobs.bucket.cut_off import MARK, is_cut_off
from drkit.blobs.directory import placing
from drkit.blobs.ends import below, place_of_blobs
from drkit.blobs.opening import open_bucket
from drkit.blobs.vault import reading as vault_reading
from drkit.errors import ConfigError, RestoreDamaged, TargetUnfit
from drkit.model import PointManifest
from drkit.registry import storage
from drkit.reports.units import size
from drkit.secrets import bundle_paths
from drkit.secrets.install import below as below_root

# Below --root: where a bucket's blobs go, which had no directory of their own.
_DIRECTORY = "registry"
# What a point says is no reason to set one of these aside.
_SYSTEM = frozenset({"/", "/etc", "/home", "/opt", "/root", "/run", "/srv", "/usr", "/var", "/var/lib"})


def target(settings: config.Config, manifest: PointManifest, root: Path | None) -> Path | config.BucketBlobs:
    """Below `root`, else where the configuration has the blobs, else the directory where they were.

    Raises ConfigError where nothing of that says a place, or one for images that are kept in another way.
    """
    if root is not None:
        return below_root(root, _old_directory(settings, manifest) or _DIRECTORY)
    _refuse_other_kind(settings, manifest)
    match settings.blobs:
        case config.BucketBlobs():
            return settings.blobs
        case config.FilesystemBlobs(path=path) | config.LayoutBlobs(path=path):
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
    if is_systems(directory):
        raise RestoreDamaged(
            f"the image blobs were in {directory}, the point says, which belongs to the operating system",
            hint="give --root DIR, or name the directory that they go to as path in [blobs]",
        )
    return Path(directory)


def _refuse_other_kind(settings: config.Config, manifest: PointManifest) -> None:
    if settings.blobs is None:
        return
    layouts = isinstance(settings.blobs, config.LayoutBlobs)
    if layouts != (manifest.storage == "oci"):
        has, wants = ("OCI layouts", "distribution's tree") if layouts else ("no OCI layouts", "OCI layouts")
        raise ConfigError(
            f"[blobs] is for a registry with {has}, and the images of this point are {wants}",
            hint="restore them with --root DIR, for a registry of the kind that they are from",
        )


def is_systems(directory: str) -> bool:
    """Whether a directory that a point names belongs to the operating system, or to somebody's login."""
    return bundle_paths.is_system(directory) or directory in _SYSTEM


def _old_directory(settings: config.Config, manifest: PointManifest) -> str | None:
    if manifest.bucket is None:
        return manifest.blobs_root or "/data/registry"
    return str(settings.blobs.path) if isinstance(settings.blobs, config.DirectoryBlobs) else None


def obstacles(where: Path | config.BucketBlobs, manifest: PointManifest) -> str:
    """What is in the way, in a few words; empty where nothing is, or only what this restore left itself.

    Raises TargetNotEmpty for a mount point further down, TargetUnfit for layouts in a mount point.

    In a bucket that is anything in the registry's own tree: what else stands there is never written over.
    """
    if isinstance(where, Path):
        placing.refuse_mounts_below(where)
        if manifest.storage == "oci" and placing.is_mount(where):
            raise TargetUnfit(
                f"{where} is a mount point, and cannot be renamed, which is how OCI layouts come back",
                hint="use --root DIR on that file system, then move what is in that directory by hand",
            )
        return placing.obstacles(where)
    with open_bucket(where) as bucket:
        root = below(place_of_blobs(where))
        found = bucket.first(f"{root}{storage.TREE.parts[0]}/")
        if found is None:
            return ""
        start = f"{root}{MARK}"
        if is_cut_off(bucket, place_of_blobs(where), manifest.id):
            return ""
        mark = bucket.first(start)
        other = f" of an interrupted restore of {mark.key.removeprefix(start)}" if mark else ""
        return f"objects{other}, such as {found.key}"


def room(target: Path, point: str, needed: int) -> str:
    """What a directory needs at most, and what is free there; raises TargetUnfit where that cannot be enough.

    Blobs that are there already, or were left by a restore that was cut off, are not written again.
    """
    place = next(path for path in (target, *target.parents) if path.is_dir())
    free = shutil.disk_usage(place).free
    if free < needed:
        roots = (target, *placing.staging_for(target, point).glob("*"))
        there = sum(length for root in roots for _digest, length in storage.stored_blobs(root))
        if free < needed - there:
            raise TargetUnfit(
                f"the image blobs need {size(needed - there)} more in {place}, and {size(free)} are free",
                hint="make room there, or use --root DIR on a larger disk",
            )
    return f"{size(needed)} at most, {size(free)} free"


def look_at_vault(settings: config.Config, manifest: PointManifest) -> str:
    """See that the vault of a bucket's point can be read; says where it is (empty for other points).

    Raises ConfigError and the bucket's errors.
    """
    if manifest.bucket is None:
        return ""
    with vault_reading.opened(settings, manifest.bucket) as shelf:
        shelf.bucket.first(f"{below(shelf.place)}{storage.BLOBS}/")
        return shelf.place.where
