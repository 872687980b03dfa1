"""The images of a recovery point, opened to be read: from the repository through FUSE, or from the vault."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drkit import config
from drkit.blobs.bucket import links_archive
from drkit.blobs.vault import reading as vault_reading
from drkit.blobs.vault.data import VaultData
from drkit.blobs.vault.leases import Work
from drkit.errors import ConfigError, NotSupported
from drkit.model import Part, PointManifest
from drkit.points import seals
from drkit.points.catalog import Catalog
from drkit.registry.image_list import ImageList
from drkit.registry.ledger import Ledger
from drkit.registry.selection import Selection
from drkit.serving.data import TreeData
from drkit.serving.images import Images
from drkit.serving.names import ListedNames, Names, TreeNames, begun
from drkit.tools import json_lines
from drkit.tools.restic import mount
from drkit.tools.restic.mount import Mount


@dataclass(frozen=True)
class Opened:
    """The images, and the mount that they, or their links and lists, come from."""

    images: Images
    mounted: Mount


def refuse_without_images(manifest: PointManifest) -> None:
    """Raise ConfigError where a point has none."""
    if not manifest.images:
        raise ConfigError(f"recovery point {manifest.id} has no images", hint="see `drkit show`")


def refuse_layouts(manifest: PointManifest) -> None:
    """Raise NotSupported where images stand in OCI layouts, of which none can be had alone."""
    if manifest.storage == "oci":
        raise NotSupported(
            f"the images of recovery point {manifest.id} are OCI layouts, which this version of drkit can"
            " only restore all together",
            hint=f"`drkit restore {manifest.id} --only blobs --root DIR`, then `skopeo copy"
            " oci:DIR/.../REPOSITORY:TAG docker://...` brings one image back",
        )


@contextlib.contextmanager
def opened(
    settings: config.Config,
    catalog: Catalog,
    manifest: PointManifest,
    directory: Path,
    work: Work,
    only: Selection | None = None,
) -> Iterator[Opened]:
    """The images of a point, until the block ends; `directory` is private and empty.

    Raises ToolMissing without FUSE, ConfigError, and the repository's and the vault's errors.
    """
    tag = f"{seals.POINT}{manifest.id}"
    with (
        mount.mounted(catalog.repository.access, directory, tag) as mounted,
        _images(settings, manifest, mounted, directory, work, only) as images,
    ):
        yield Opened(images, mounted)


@contextlib.contextmanager
def _images(
    settings: config.Config,
    manifest: PointManifest,
    mounted: Mount,
    directory: Path,
    work: Work,
    only: Selection | None,
) -> Iterator[Images]:
    ledger = Ledger(directory / "proved.db")
    if manifest.bucket is None:
        root = tree_of(manifest, mounted)
        with _names(manifest, mounted, TreeNames(root)) as names:
            yield Images(root, TreeData(root), names, ledger, only)
        return
    with vault_reading.opened(settings, manifest.bucket, work) as reader:
        listed = _file(mounted, manifest.need("inventory", "inventory"))
        root = directory / "links"
        root.mkdir(mode=0o700)
        written = begun(lambda: unpack_links(manifest, mounted, root))
        with (
            contextlib.closing(VaultData(reader, listed)) as data,
            _names(manifest, mounted, TreeNames(root, written)) as names,
        ):
            yield Images(root, data, names, ledger, only, written)


def tree_of(manifest: PointManifest, mounted: Mount) -> Path:
    """The registry's root directory in a point that has its blobs in the repository."""
    part = manifest.need("blobs", "blobs")
    return mounted.snapshot(part.snapshot) / part.path.lstrip("/")


def unpack_links(manifest: PointManifest, mounted: Mount, root: Path) -> None:
    """Write the links of a bucket's point below a directory."""
    archive = _file(mounted, manifest.need("links", "links"))
    links_archive.unpack(links_archive.read(json_lines.pieces(archive)), root)


def _file(mounted: Mount, part: Part) -> Path:
    return mounted.file(part.snapshot, part.path)


@contextlib.contextmanager
def _names(manifest: PointManifest, mounted: Mount, tree: Names) -> Iterator[Names]:
    """Tags from the list of what Harbor's database had where that is in the point, else from the tree."""
    listed = manifest.image_list
    if listed is None:
        yield tree
        return
    with contextlib.closing(ImageList(_file(mounted, listed))) as images:
        yield ListedNames(images)
