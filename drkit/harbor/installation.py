"""Harbor's harbor.yml: what it says of the database, the data volume, the storage and the certificates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from drkit.errors import ConfigError
from drkit.logs import register_secret


@dataclass(frozen=True)
class HarborDatabase:
    """`external_database.harbor`."""

    host: str
    port: int
    name: str
    user: str
    password: str | None
    ssl_mode: str


@dataclass(frozen=True)
class Installation:
    """One Harbor installation; `database` is None where Harbor runs its own PostgreSQL in a container."""

    harbor_yml: Path
    hostname: str
    data_volume: Path
    certificate: Path | None
    private_key: Path | None
    database: HarborDatabase | None
    storage: str
    root_directory: Path
    # Of Harbor's own PostgreSQL, as it was at the first start; a later change here changes nothing there.
    own_database_password: str | None = None

    @property
    def secret_directory(self) -> Path:
        """Where Harbor keeps its secret key and token keys."""
        return self.data_volume / "secret"


def read_installation(path: Path) -> Installation:
    """Read harbor.yml from a file; raises ConfigError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="name Harbor's harbor.yml") from None
    return parse_installation(data, path)


def parse_installation(data: bytes, path: Path) -> Installation:
    """The installation that the bytes of a harbor.yml describe; raises ConfigError."""
    try:
        document = yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{path} is not YAML: {str(error).splitlines()[0]}", hint="name Harbor's harbor.yml"
        ) from None
    if not isinstance(document, dict) or not document.get("hostname"):
        raise ConfigError(f"{path} is no harbor.yml: it has no hostname", hint="name Harbor's harbor.yml")
    https = _section(document, "https")
    volume = Path(document.get("data_volume") or "/data")
    storage = _section(document, "storage_service")
    return Installation(
        harbor_yml=path,
        hostname=str(document["hostname"]),
        data_volume=volume,
        certificate=_path(https.get("certificate")),
        private_key=_path(https.get("private_key")),
        database=_database(_section(_section(document, "external_database"), "harbor"), path),
        storage=_storage(storage),
        # In the container the data volume's `registry` is mounted as /storage.
        root_directory=volume / "registry",
        own_database_password=_secret(_section(document, "database").get("password")),
    )


def _section(document: dict[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _path(value: object) -> Path | None:
    return Path(str(value)) if value else None


def _secret(value: object) -> str | None:
    return None if value is None else register_secret(str(value))


def _database(section: dict[str, Any], path: Path) -> HarborDatabase | None:
    if not section.get("host"):
        return None
    port = str(section.get("port") or 5432)
    if not port.isdecimal():
        raise ConfigError(f'{path}: the port of external_database is "{port}"', hint="it is a number")
    return HarborDatabase(
        host=str(section["host"]),
        port=int(port),
        name=str(section.get("db_name") or "registry"),
        user=str(section.get("username") or "postgres"),
        password=_secret(section.get("password")),
        ssl_mode=str(section.get("ssl_mode") or "disable"),
    )


def _storage(section: dict[str, Any]) -> str:
    """The driver that Harbor picks; the order is that of its prepare script."""
    order = ("filesystem", "azure", "gcs", "s3", "swift", "oss")
    return next((driver for driver in order if driver in section), "filesystem")
