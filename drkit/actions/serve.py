"""`drkit serve`: a read-only registry straight from a recovery point, while the restore still runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from drkit import config
from drkit.actions.restore.secrets import identity_file, open_members
from drkit.checks import keys
from drkit.database import dumped
from drkit.errors import ConfigError, Interrupted, RestoreDamaged, ToolFailed, ToolMissing
from drkit.harbor import dumped_tags
from drkit.harbor.dumped_tags import DumpedTags
from drkit.model import PointManifest, utc_now
from drkit.points import seals
from drkit.points.catalog import open_catalog
from drkit.registry.ledger import Ledger
from drkit.serving import listening
from drkit.serving.images import Images
from drkit.serving.names import DatabaseNames, Names, TreeNames
from drkit.serving.server import RegistryServer, running
from drkit.state.directory import State, new_id, private_directory
from drkit.tools.postgres import programs
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
    files, pair, tls = {}, None, None
    if options.tls or not address.local:
        members = open_members(catalog.fetch_seal(point), identity_file(settings, options.identity))
        files = keys.contents(members)
        pair = listening.certificate(files)
        tls = listening.context(files, pair)
    state = State(settings.site.state)
    state.prepare()
    with (
        private_directory(state.runs, f"serve-{new_id(utc_now())}") as directory,
        mount.mounted(catalog.repository.access, directory, f"{seals.POINT}{point.id}") as mounted,
    ):
        images = _images(manifest, mounted, directory, options.only)
        server = RegistryServer((address.host, address.port), images, password=password, tls=tls)
        shown = listening.Address(address.host, server.port)
        with running(server):
            announce(
                Serving(
                    point.id,
                    manifest.consistent_at,
                    shown,
                    pair.certificate if pair else None,
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


def _refuse_without_images(manifest: PointManifest) -> None:
    if manifest.bucket is not None:
        raise ConfigError(
            f"the images of recovery point {manifest.id} are in a vault, and `drkit serve` reads them from a"
            " repository alone",
            hint=f"`drkit restore {manifest.id} --only blobs --root DIR` brings them back into a directory",
        )
    if manifest.part("blobs") is None:
        raise ConfigError(f"recovery point {manifest.id} has no images", hint="see `drkit show`")


def _images(manifest: PointManifest, mounted: Mount, directory: Path, only: str | None) -> Images:
    part = manifest.need("blobs", "blobs")
    root = mounted.snapshot(part.snapshot) / part.path.lstrip("/")
    ledger = Ledger(directory / "proved.db")
    return Images(root, _names(manifest, mounted, directory, root), ledger, only)


def _names(manifest: PointManifest, mounted: Mount, directory: Path, root: Path) -> Names:
    """Tags from Harbor's database where the point has it, else from the tree."""
    harbor = next((each for each in manifest.databases if each.harbor_schema is not None), None)
    if harbor is None:
        return TreeNames(root)
    part = manifest.need("database", harbor.name)
    dump = mounted.snapshot(part.snapshot) / part.path.lstrip("/")
    available = programs.installed()
    fitting = [major for major in sorted(available) if major >= harbor.archive_major]
    if not fitting:
        raise ToolMissing(
            f"the tags are in a dump of PostgreSQL {harbor.archive_major}, which no pg_restore here can read",
            hint=f"install postgresql-client-{harbor.archive_major}",
        )
    return DatabaseNames(partial(_read_tags, available[fitting[0]], dump, directory / "tags.db"))


def _read_tags(of: programs.Programs, dump: Path, path: Path) -> DumpedTags:
    tags = DumpedTags(path)
    for table in dumped.tables(of, dump, dumped_tags.TABLES):
        tags.take(table.table, table.rows)
    tags.index()
    return tags


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
