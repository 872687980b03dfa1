"""What runbooks say of a site: from its configuration and, where it can be read, from its repository."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath
from socket import gethostname

from drkit import __version__, config
from drkit.errors import Failure
from drkit.harbor import secretkey, versions
from drkit.model import DrillNote, Point, PointManifest, utc_now
from drkit.points.catalog import open_catalog
from drkit.reports.next_steps import next_steps
from drkit.reports.runbooks import Facts, KnownDatabase, KnownRepository, NewestPoint
from drkit.tools.postgres import targets
from drkit.tools.recipient import named, short

_HARBOR_YML = "harbor.yml"


def gather(settings: config.Config, path: Path, practised: Mapping[str, datetime]) -> Facts:
    """Everything that the templates need; a repository that cannot be read is told of in them."""
    points, unreadable = _points(settings)
    newest = points[0] if points else None
    manifest = newest.manifest if newest else None
    harbor, data = _harbor(settings, manifest)
    evidence = manifest.databases if manifest else ()
    schema = next((each.harbor_schema for each in evidence if each.harbor_schema is not None), None)
    absolute = path.absolute()
    blobs = settings.blobs
    return Facts(
        site=settings.site.name,
        config=str(absolute),
        default_config=absolute == config.DEFAULT_PATH,
        state=str(settings.site.state),
        host=gethostname(),
        version=__version__,
        rendered_at=utc_now(),
        contacts=settings.runbook.contacts,
        rto=settings.objectives.rto,
        drill_objective=settings.objectives.drill,
        databases=tuple(map(_database, settings.databases)),
        in_container=any(entry.container for entry in settings.databases),
        blobs=blobs.where if blobs else None,
        in_bucket=isinstance(blobs, config.BucketBlobs),
        vault=settings.vault.where if settings.vault else None,
        loose_password=_loose_password(settings),
        secrets=tuple(map(str, settings.secrets.paths)),
        recipients=tuple(named(each).name or short(each) for each in settings.secrets.recipients),
        identity=_path(settings.secrets.identity_file),
        repositories=tuple(
            KnownRepository(each.name, each.url, str(each.password_file), _path(each.credentials_file))
            for each in settings.repositories
        ),
        stop=settings.restore.stop,
        start=settings.restore.start,
        harbor=harbor,
        data=data,
        harbor_version=versions.describe(schema) if schema is not None else None,
        major=max((each.archive_major for each in evidence), default=None),
        steps=next_steps(manifest) if manifest else (),
        newest=NewestPoint(manifest.id, manifest.consistent_at, manifest.bytes) if manifest else None,
        unreadable=unreadable,
        drill=_last_proof(points),
        practised=practised,
    )


def _path(path: Path | None) -> str | None:
    return str(path) if path else None


def _points(settings: config.Config) -> tuple[tuple[Point, ...], str]:
    """The sealed points, newest first; or why they cannot be known."""
    try:
        points = open_catalog(settings).points()
    except Failure as error:
        return (), error.message
    return tuple(point for point in points if point.manifest), ""


def _last_proof(points: Iterable[Point]) -> DrillNote | None:
    proofs = [drill for point in points for drill in point.drills if drill.proves]
    return max(proofs, key=lambda drill: drill.finished_at, default=None)


def _database(entry: config.Database) -> KnownDatabase:
    target = targets.target(entry.dsn or "", None)
    name = target.database or "registry"
    where = f"the container {entry.container}" if entry.container else target.with_database(name).where
    return KnownDatabase(entry.name, name, where)


def _loose_password(settings: config.Config) -> str | None:
    """The first password file of a database that is not among the secrets."""
    named = (entry.password_file for entry in settings.databases if entry.password_file)
    paths = settings.secrets.paths
    return next((str(p) for p in named if not any(p.is_relative_to(path) for path in paths)), None)


def _harbor(settings: config.Config, manifest: PointManifest | None) -> tuple[str | None, str | None]:
    """The directory of Harbor's installation and its data volume, by the files that are backed up."""
    files = [file.path for file in manifest.secret_files] if manifest else []
    paths = [*map(str, settings.secrets.paths), *files]
    directory = next(
        (str(PurePosixPath(p).parent) for p in paths if PurePosixPath(p).name == _HARBOR_YML), None
    )
    key = f"/{secretkey.PLACE}"
    volume = next((path.removesuffix(key) for path in files if path.endswith(key)), None)
    return directory, volume
