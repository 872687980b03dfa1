"""`drkit serve`: a read-only registry straight from a recovery point, while the restore still runs."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drkit import config
from drkit.actions.images import opening
from drkit.actions.restore.secrets import identity_file, open_members
from drkit.checks import keys
from drkit.errors import Interrupted, RestoreDamaged, ToolFailed, UsageError
from drkit.model import utc_now
from drkit.points.catalog import open_catalog
from drkit.registry import selection
from drkit.registry.selection import Selection
from drkit.secrets.bundle import Member
from drkit.serving import listening
from drkit.serving.server import RegistryServer
from drkit.state.directory import State, new_id, private_directory
from drkit.tools.http_server import running
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
    repository: str | None = None


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
    only = _repositories(options.only)
    mount.look()
    settings = settings.at(options.repository)
    catalog = open_catalog(settings, options.repository)
    point, manifest = catalog.find(options.point or "latest", locked=True)
    opening.refuse_without_images(manifest)
    opening.refuse_layouts(manifest)
    certificate, tls = None, None
    if options.tls or not address.local:
        identity = identity_file(settings, options.identity)
        certificate, tls = _tls(open_members(catalog.fetch_seal(point), identity))
    state = State(settings.site.state)
    state.prepare()
    with (
        private_directory(state.runs, f"serve-{new_id(utc_now())}") as directory,
        opening.opened(settings, catalog, manifest, directory, "serve", only) as found,
    ):
        server = RegistryServer((address.host, address.port), found.images, password=password, tls=tls)
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
            _until_interrupted(found.mounted)
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


def _repositories(pattern: str | None) -> Selection | None:
    """The repositories that are served, None for all; raises UsageError."""
    if pattern is None:
        return None
    found = selection.parse(pattern)
    if not found.whole:
        raise UsageError(
            f'"{pattern}" names a tag or a digest', hint="--only takes a project or repositories: library/*"
        )
    return found


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
