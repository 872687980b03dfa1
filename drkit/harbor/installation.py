"""Harbor's harbor.yml: what it says of the database, the data volume, the storage and the certificates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from drkit.errors import ConfigError
from drkit.harbor import storage_service
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
class Needed:
    """A file or directory that a restored Harbor needs, and what it is for; it may not be there."""

    path: Path
    purpose: str


@dataclass(frozen=True)
class Installation:
    """One Harbor installation; `database` is None where Harbor runs its own PostgreSQL in a container.

    `referred` is what harbor.yml names besides certificate and key; `external_host` the host of external_url.
    """

    harbor_yml: Path
    hostname: str
    data_volume: Path
    certificate: Path | None
    private_key: Path | None
    database: HarborDatabase | None
    storage: str
    root_directory: Path
    referred: tuple[Needed, ...] = ()
    external_host: str = ""
    # The section itself, which only `init` reads on (storage_service.bucket): it may hold keys.
    service: Mapping[str, Any] = field(default_factory=dict, repr=False)
    # Of Harbor's own PostgreSQL, as it was at the first start; a later change here changes nothing there.
    own_database_password: str | None = None

    @property
    def secret_directory(self) -> Path:
        """Where Harbor keeps its secret key and token keys."""
        return self.data_volume / "secret"

    @property
    def public_host(self) -> str:
        """The name that clients ask for: with an external_url, `hostname` is no longer used."""
        return self.external_host or self.hostname

    @property
    def needed(self) -> tuple[Needed, ...]:
        """Everything that a restored Harbor needs besides database and images, and what it is for.

        The copies below `secret/` (cert, tls) are in it as well as their originals: `prepare` makes the one
        from the other, and a registry whose originals were lost still runs on the copies.
        """
        found = [
            Needed(self.harbor_yml, "Harbor's settings"),
            Needed(
                self.secret_directory,
                "the secret key, which opens the database's encrypted columns; the token key; copies",
            ),
        ]
        for path, purpose in (
            (self.certificate, "the registry's certificate"),
            (self.private_key, "the private key of that certificate"),
        ):
            found += [Needed(path, purpose)] if path is not None else []
        return (*found, *self.referred)

    @property
    def useful(self) -> tuple[Needed, ...]:
        """What does no harm where it is missing."""
        return (Needed(self.data_volume / "ca_download", "the CA certificate that users download"),)


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
    service = _section(document, "storage_service")
    return Installation(
        harbor_yml=path,
        hostname=str(document["hostname"]),
        data_volume=volume,
        certificate=_path(https.get("certificate")),
        private_key=_path(https.get("private_key")),
        database=_database(_section(_section(document, "external_database"), "harbor"), path),
        storage=storage_service.driver(service),
        service=service,
        # In the container the data volume's `registry` is mounted as /storage.
        root_directory=volume / "registry",
        referred=tuple(_referred(document)),
        external_host=_host(str(document.get("external_url") or "")),
        own_database_password=_secret(_section(document, "database").get("password")),
    )


# Where harbor.yml names files (make/harbor.yml.tmpl and the prepare script's models).
_REFERENCES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("storage_service", "ca_bundle"), "the CA certificates of the storage service"),
    (("storage_service", "gcs", "keyfile"), "the key of the Google storage"),
    (("external_redis", "tlsOptions", "rootCA"), "the CA certificate of Redis"),
    (("uaa", "ca_file"), "the CA certificate of the UAA login service"),
)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _referred(document: dict[str, Any]) -> Iterator[Needed]:
    internal = _section(document, "internal_tls")
    if internal.get("enabled") and (directory := _path(internal.get("dir"))):
        yield Needed(directory, "certificates and keys between Harbor's components, with harbor_internal_ca")
    for keys, purpose in _REFERENCES:
        section = document
        for key in keys[:-1]:
            section = _section(section, key)
        value = section.get(keys[-1])
        if isinstance(value, str) and value.startswith("/"):
            yield Needed(Path(value), purpose)


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
