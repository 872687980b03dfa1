"""Harbor's harbor.yml: what it says of the database, the data volume, the storage and the certificates.

It is taken as Harbor's `prepare` takes it (make/photon/prepare/utils/configs.py): a section that is there and
empty is none; files are named from the root directory on, with or without a slash in front; the data volume
may be relative to the file.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml

from drkit.errors import ConfigError
from drkit.harbor import storage_service
from drkit.logs import register_secret
from drkit.model.needed import Needed


@dataclass(frozen=True)
class HarborDatabase:
    """`external_database.harbor`, or one of Notary's beside it (Harbor to 2.8)."""

    host: str
    port: int
    name: str
    user: str
    password: str | None
    ssl_mode: str


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
    external_url: str = ""
    # The section itself, which only `init` reads on (storage_service.bucket): it may hold keys.
    service: Mapping[str, Any] = field(default_factory=dict, repr=False)
    # Of Harbor's own PostgreSQL, as it was at the first start; a later change here changes nothing there.
    own_database_password: str | None = None
    # Notary's databases, where they are not in Harbor's own PostgreSQL.
    notary: tuple[HarborDatabase, ...] = ()

    @property
    def chart_storage(self) -> Path:
        """Where ChartMuseum kept its Helm charts (Harbor to 2.7)."""
        return self.data_volume / "chart_storage"

    @property
    def secret_directory(self) -> Path:
        """Where Harbor keeps its secret key and token keys."""
        return self.data_volume / "secret"

    @property
    def public_host(self) -> str:
        """The name that clients ask for: with an external_url, `hostname` is no longer used."""
        return self.external_host or _host(f"//{self.hostname}")

    @property
    def url(self) -> str:
        """Harbor's address, as far as harbor.yml tells it without its ports."""
        scheme = "https" if self.certificate else "http"
        return self.external_url or f"{scheme}://{self.hostname}"

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
        raise ConfigError(f"{path} is not a harbor.yml: it has no hostname", hint="name Harbor's harbor.yml")
    https = _section(document, "https")
    volume = _volume(document.get("data_volume"), path)
    service = _section(document, "storage_service")
    external = _section(document, "external_database")
    return Installation(
        harbor_yml=path,
        hostname=str(document["hostname"]).strip(),
        data_volume=volume,
        certificate=_path(https.get("certificate")),
        private_key=_path(https.get("private_key")),
        database=_database(_section(external, "harbor"), path),
        storage=storage_service.driver(service),
        service=service,
        root_directory=_root_directory(volume, service),
        referred=tuple(_referred(document)),
        external_host=_host(str(document.get("external_url") or "")),
        external_url=str(document.get("external_url") or "").strip(),
        own_database_password=_secret(_section(document, "database").get("password")),
        notary=tuple(filter(None, (_database(_section(external, name), path, name) for name in _NOTARY))),
    )


# Notary's sections beside that of Harbor's database.
_NOTARY = ("notary_signer", "notary_server")

# Where harbor.yml names files (make/harbor.yml.tmpl and the prepare script's models).
_REFERENCES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("storage_service", "ca_bundle"), "the CA certificates of the storage service"),
    (("storage_service", "gcs", "keyfile"), "the key of the Google storage"),
    (("external_redis", "tlsOptions", "rootCA"), "the CA certificate of Redis"),
    (("uaa", "ca_file"), "the CA certificate of the UAA login service"),
)


def _host(url: str) -> str:
    """The host of an address: without a port, and of an IPv6 address without its brackets."""
    with_scheme = url if "//" in url else f"//{url}"
    bare = with_scheme.partition("//")[2].partition("/")[0]
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    try:
        return urlsplit(with_scheme).hostname or ""
    except ValueError:
        return ""


def _volume(value: object, path: Path) -> Path:
    """The data volume; docker takes a relative one from the directory of its compose file, beside ours."""
    named = str(value).strip() if value else "/data"
    return Path(os.path.normpath(path.parent / named))


def _root_directory(volume: Path, service: Mapping[str, Any]) -> Path:
    """In the container the data volume's `registry` is mounted as /storage."""
    named = PurePosixPath(str(_section(service, "filesystem").get("rootdirectory") or "/storage"))
    within = named.relative_to("/storage") if named.is_relative_to("/storage") else PurePosixPath()
    return volume / "registry" / within


def _referred(document: dict[str, Any]) -> Iterator[Needed]:
    internal = _section(document, "internal_tls")
    if internal.get("enabled") and (directory := _path(internal.get("dir"))):
        yield Needed(directory, "certificates and keys between Harbor's components, with harbor_internal_ca")
    for keys, purpose in _REFERENCES:
        section = document
        for key in keys[:-1]:
            section = _section(section, key)
        if file := _path(section.get(keys[-1])):
            yield Needed(file, purpose)


def _section(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _path(value: object) -> Path | None:
    """A file: `prepare` takes away slashes in front, and looks from the root directory on."""
    named = str(value).strip().lstrip("/") if value else ""
    return Path("/", named) if named else None


def _secret(value: object) -> str | None:
    return None if value is None else register_secret(str(value))


def _database(section: dict[str, Any], path: Path, name: str = "") -> HarborDatabase | None:
    """A database by its section, None where that names no host; `name` is the default of its name."""
    if not section.get("host"):
        return None
    port = str(section.get("port") or 5432).strip()
    if not port.isdecimal():
        raise ConfigError(f'{path}: the port of external_database is "{port}"', hint="it is a number")
    return HarborDatabase(
        host=str(section["host"]).strip(),
        port=int(port),
        name=str(section.get("db_name") or name.replace("_", "") or "registry"),
        user=str(section.get("username") or "postgres"),
        password=_secret(section.get("password")),
        ssl_mode=str(section.get("ssl_mode") or "disable"),
    )
