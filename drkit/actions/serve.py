"""`drkit serve`: a read-only registry straight from a recovery point, while the restore still runs."""

from __future__ import annotations

import contextlib
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drkit import config
from drkit.actions.restore.secrets import identity_file, open_members
from drkit.blobs.bucket import links_archive
from drkit.blobs.vault import reading as vault_reading
from drkit.checks import keys
from drkit.errors import ConfigError, Interrupted, RestoreDamaged, ToolFailed
from drkit.model import Part, PointManifest, utc_now
from drkit.points import seals
from drkit.points.catalog import open_catalog
from drkit.registry.image_list import ImageList
from drkit.registry.ledger import Ledger
from drkit.secrets.bundle import Member
from drkit.serving import listening
from drkit.serving.data import TreeData, VaultData
from drkit.serving.images import Images
from drkit.serving.names import ListedNames, Names, TreeNames, begun
from drkit.serving.server import RegistryServer, running
from drkit.state.directory import State, new_id, private_directory
from drkit.tools import json_lines
from drkit.tools.restic import mount
from drkit.tools.restic.mount import Mount

_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class ServeOptions:
    """What the user wants; see the command line for each."""

    point: str | None = None
    listen: str = "127.0.0.1:5000"
    only: str | None = None
    tls: bool = False
    password_file: Path | None = None
    anonymous: bool = False
    identity: Path | None = None


@dataclass(frozen=True)
class Serving:
    """What is served, where and to whom; `password` is one that was made up for this time."""

    point: str
    consistent_at: datetime
    address: listening.Address
    certificate: str | None
    needs_password: bool
    password: str | None
    only: str | None


@dataclass(frozen=True)
class ServeResult:
    """What was handed out in all."""

    point: str
    manifests: int
    blobs: int
    bytes: int


def serve(
    settings: config.Config, options: ServeOptions, announce: Callable[[Serving], object]
) -> ServeResult:
    """Serve a point until drkit is interrupted; `announce` is told when the first request can come.

    Raises NoSuchPoint, UsageError, ConfigError, the repository's errors, ToolMissing; at the end
    RestoreDamaged where bytes had to be refused.
    """
    address = listening.parse(options.listen)
    password, made_up = listening.password(address, options.password_file, anonymous=options.anonymous)
    mount.look()
    catalog = open_catalog(settings)
    point, manifest = catalog.find(options.point or "latest", locked=True)
    _refuse_without_images(manifest)
    certificate, tls = None, None
    if options.tls or not address.local:
        identity = identity_file(settings, options.identity)
        certificate, tls = _tls(open_members(catalog.fetch_seal(point), identity))
    state = State(settings.site.state)
    state.prepare()
    with (
        private_directory(state.runs, f"serve-{new_id(utc_now())}") as directory,
        mount.mounted(catalog.repository.access, directory, f"{seals.POINT}{point.id}") as mounted,
        _images(settings, manifest, mounted, directory, options.only) as images,
    ):
        server = RegistryServer((address.host, address.port), images, password=password, tls=tls)
        shown = listening.Address(address.host, server.port)
        with running(server):
            announce(
                Serving(
                    point.id,
                    manifest.consistent_at,
                    shown,
                    certificate,
                    password is not None,
                    password if made_up else None,
                    options.only,
                )
            )
            _until_interrupted(mounted)
    served = server.served
    if served.refused:
        raise RestoreDamaged(
            f"{len(served.refused)} answers were refused: {sorted(served.refused)[0]}",
            hint="serve another point; `drkit verify --read-data-subset 100%` names what else is damaged",
        )
    return ServeResult(point.id, served.manifests, served.blobs, served.bytes)


def _tls(members: Sequence[Member]) -> tuple[str, ssl.SSLContext]:
    """The path of the registry's certificate, and TLS with it; raises ConfigError."""
    files = keys.contents(members)
    pair = listening.certificate(files)
    return pair.certificate, listening.context(files, pair)


def _refuse_without_images(manifest: PointManifest) -> None:
    if not manifest.images:
        raise ConfigError(f"recovery point {manifest.id} has no images", hint="see `drkit show`")


@contextlib.contextmanager
def _images(
    settings: config.Config, manifest: PointManifest, mounted: Mount, directory: Path, only: str | None
) -> Iterator[Images]:
    """The images of the point, from the repository or from the vault."""
    ledger = Ledger(directory / "proved.db")
    if manifest.bucket is None:
        part = manifest.need("blobs", "blobs")
        root = mounted.snapshot(part.snapshot) / part.path.lstrip("/")
        with _names(manifest, mounted, TreeNames(root)) as names:
            yield Images(root, TreeData(root), names, ledger, only)
        return
    with vault_reading.opened(settings, manifest.bucket, "serve") as reader:
        listed = _file(mounted, manifest.need("inventory", "inventory"))
        root = directory / "links"
        root.mkdir(mode=0o700)
        archive = _file(mounted, manifest.need("links", "links"))
        written = begun(lambda: _unpack(archive, root))
        with (
            contextlib.closing(VaultData(reader, listed)) as data,
            _names(manifest, mounted, TreeNames(root, written)) as names,
        ):
            yield Images(root, data, names, ledger, only, written)


def _file(mounted: Mount, part: Part) -> Path:
    return mounted.file(part.snapshot, part.path)


def _unpack(archive: Path, root: Path) -> None:
    links_archive.unpack(links_archive.read(json_lines.pieces(archive)), root)


@contextlib.contextmanager
def _names(manifest: PointManifest, mounted: Mount, tree: Names) -> Iterator[Names]:
    """Tags from the list of what Harbor's database had where that is in the point, else from the tree."""
    listed = manifest.image_list
    if listed is None:
        yield tree
        return
    with contextlib.closing(ImageList(_file(mounted, listed))) as images:
        yield ListedNames(images)


def _until_interrupted(mounted: Mount) -> None:
    """Wait for Ctrl-C or SIGTERM; raises ToolFailed where restic has gone before."""
    try:
        while mounted.alive:
            time.sleep(_LOOK_SECONDS)
    except Interrupted:
        return
    raise ToolFailed(
        f"restic mount ended: {mounted.server.last_words()}", hint="run `drkit verify`, then serve again"
    )
