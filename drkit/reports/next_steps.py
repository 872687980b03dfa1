"""What has to be done after a restore, with the paths and versions of the site that the point is of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from drkit.harbor import secretkey, versions
from drkit.model import PointManifest

_HARBOR_YML = "harbor.yml"
_SECRET_KEY = f"/{secretkey.PLACE}"


def next_steps(manifest: PointManifest, root: Path | None = None, open_roles: str = "") -> tuple[str, ...]:
    """The steps in their order; `open_roles` says which database roles log in and have no password."""
    schema = next((e.harbor_schema for e in manifest.databases if e.harbor_schema is not None), None)
    roles = tuple(_passwords(open_roles, harbor=schema is not None))
    replaced = "replace every secret that may have leaked"
    if schema is None:
        return (*_plain(), *roles, replaced)
    return (*_harbor(manifest, root, schema, roles), replaced)


def harbor_directory(manifest: PointManifest) -> str:
    """The directory that Harbor is installed in, by its harbor.yml; empty where nothing says it."""
    found = _harbor_yml(manifest)
    return str(PurePosixPath(found).parent) if found else ""


def _harbor_yml(manifest: PointManifest) -> str | None:
    paths = (file.path for file in manifest.secret_files)
    return next((path for path in paths if PurePosixPath(path).name == _HARBOR_YML), None)


def _plain() -> Iterator[str]:
    yield "point the registry to what was restored"
    yield "empty its Redis or other cache, start it, pull one image by its digest and push one"


def _passwords(open_roles: str, *, harbor: bool) -> Iterator[str]:
    if open_roles:
        own = " (Harbor's own is in harbor.yml)" if harbor else ""
        yield (f"set the passwords of {open_roles}, which came back without{own}: in psql, \\password ROLE")


def _harbor(manifest: PointManifest, root: Path | None, schema: int, roles: Sequence[str]) -> Iterator[str]:
    paths = [file.path for file in manifest.secret_files]
    settings = _harbor_yml(manifest)
    key = next((path for path in paths if path.endswith(_SECRET_KEY)), None)
    directory = _below(root, str(PurePosixPath(settings).parent)) if settings else "Harbor's directory"
    version = versions.describe(schema)
    yield (
        f"keep Harbor stopped (core, jobservice, registry, registryctl) until all parts are back: "
        f"docker compose stop core jobservice registry registryctl in {directory}"
    )
    yield (
        f"look at {_below(root, settings) if settings else _HARBOR_YML}: hostname, data_volume, the paths of "
        "certificates and the database's address must fit this machine"
    )
    yield from roles
    yield (
        f"run ./prepare there, with the installer of the same version: {version}; "
        f"{_below(root, key) if key else secretkey.PLACE} must be the restored one, for prepare "
        "silently makes a new one where there is none"
    )
    data = _below(root, key.removesuffix(_SECRET_KEY)) if key else "the data volume"
    yield (
        f"empty Redis, all of Harbor's databases (its own keeps them in {data}/redis): a stale one breaks "
        "pushes"
    )
    yield "docker compose up -d, then log in, pull one image by its digest, and push one"
    yield "leave garbage collection off until a drill of the next recovery point has passed"


def _below(root: Path | None, path: str) -> str:
    return f"{root}{path}" if root else path
