"""What `init` will write, found out in full before anything is written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from drkit import config
from drkit.actions.init import bucket as init_bucket
from drkit.actions.init import secret_paths
from drkit.errors import ConfigError, DrkitError, UsageError
from drkit.harbor import storage_service
from drkit.harbor.installation import HarborDatabase, Installation, read_installation
from drkit.model.needed import Needed
from drkit.registry import recognising
from drkit.registry.bucket_parameters import RegistryBucket
from drkit.registry.installation import RegistryInstallation
from drkit.tools import docker
from drkit.tools.postgres import targets

RESTIC_PASSWORD = "restic.password"
DATABASE_PASSWORD = "database.password"
IDENTITY = "drill.agekey"
BUCKET_CREDENTIALS = "blobs.credentials"
# As Harbor's docker-compose.yml names it.
HARBOR_CONTAINER = "harbor-db"


@dataclass(frozen=True)
class InitOptions:
    """What the command line or the answers say; None where nothing was said."""

    harbor: Path | None = None
    # The configuration of a registry that is no Harbor.
    registry: Path | None = None
    repository: str | None = None
    output: Path | None = None
    state: Path | None = None
    further_secrets: tuple[Path, ...] = ()
    database_dsn: str | None = None
    site: str | None = None
    # Its root directory on this machine, where no file says it, or says that of a container.
    root: Path | None = None
    cosign_password: Path | None = None
    vault: str | None = None
    vault_credentials: Path | None = None
    vault_region: str | None = None
    # Of a registry that is no Harbor, as `https://host/bucket/root`, and the file with its keys.
    bucket: str | None = None
    bucket_credentials: Path | None = None
    # Where points are to be copied to, and the file with its credentials.
    copy_to: str | None = None
    copy_credentials: Path | None = None


@dataclass(frozen=True)
class FurtherDatabase:
    """A database beside Harbor's own; `password` is None where it is that of Harbor's own."""

    name: str
    dsn: str
    container: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def password_file(self) -> str:
        """The name of the file that its password stands in."""
        return DATABASE_PASSWORD if self.password is None else f"{self.name}.password"


@dataclass(frozen=True)
class Plan:
    """The configuration before it is text; `bucket_credentials` go to a file of their own."""

    site: str
    dsn: str | None
    password: str | None
    blobs: config.FilesystemBlobs | config.LayoutBlobs | config.BucketBlobs | None
    secrets: tuple[Needed, ...]
    repository: str
    output: Path
    state: Path
    cosign_password: Path | None = None
    warnings: tuple[str, ...] = ()
    container: str | None = None
    vault: config.Vault | None = None
    bucket_credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    further: tuple[FurtherDatabase, ...] = ()
    # The address of a Harbor, which has garbage collections to be waited for.
    harbor_url: str | None = None

    @property
    def database(self) -> str | None:
        """Where the database is, as the configuration will say it."""
        return f"container {self.container}" if self.container else self.dsn

    @property
    def directory(self) -> Path:
        """Where configuration and keys will stand."""
        return self.output.parent

    @property
    def secret_paths(self) -> tuple[Path, ...]:
        """What the bundle will hold."""
        return tuple(needed.path for needed in self.secrets)


def plan(options: InitOptions) -> Plan:
    """Find out everything; raises UsageError where something is missing, ConfigError."""
    output = (options.output or config.DEFAULT_PATH).absolute()
    if options.repository is None:
        raise UsageError(
            "the repository for the backups is not named",
            hint="--repository /backup/drkit, or sftp:..., s3:..., rest:...",
        )
    url = options.repository
    if "://" not in url and ":" not in url:
        url = str(Path(url).absolute())
    state = (options.state or _default_state()).absolute()
    _refuse_contradictions(options)
    blobs = config.FilesystemBlobs(path=options.root.absolute()) if options.root else None
    base = Plan(options.site or "registry", options.database_dsn, None, blobs, (), url, output, state)
    if options.registry:
        base = _from_registry(base, options, recognising.read(options.registry.absolute()))
    elif options.harbor:
        base = _from_harbor(base, options, read_installation(options.harbor.absolute()))
    elif options.bucket:
        base = _with_plain_bucket(base, options, options.bucket)
    if options.vault and base.vault is None:
        raise UsageError(
            "a vault keeps the images of a registry in a bucket, and this one's are in no bucket",
            hint="leave --vault out",
        )
    further = tuple(path.absolute() for path in options.further_secrets)
    password = options.cosign_password.absolute() if options.cosign_password else None
    for path, option in (*((path, "--secret") for path in further), (password, "--cosign-password")):
        if path is not None and not path.exists():
            raise ConfigError(f"there is no {path}", hint=f"see {option}")
    named = {needed.path for needed in base.secrets}
    more = tuple(Needed(path, secret_paths.described(path)) for path in further if path not in named)
    found = replace(base, secrets=base.secrets + more, cosign_password=password)
    if not (found.database or found.blobs or found.secret_paths):
        raise UsageError(
            "there is nothing to protect", hint="give --harbor FILE, or answer the questions at a terminal"
        )
    return found


def _refuse_contradictions(options: InitOptions) -> None:
    if options.harbor and options.registry:
        raise UsageError(
            "--harbor and --registry name two registries", hint="give the one that is to be protected"
        )
    if options.harbor and options.root:
        raise UsageError("harbor.yml says where Harbor's images are", hint="leave --root out")


def _default_state() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/drkit")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "drkit"


def _from_harbor(base: Plan, options: InitOptions, installation: Installation) -> Plan:
    database = installation.database
    dsn, password, container = base.dsn, None, None
    if dsn is None and database is None:
        container, password = _harbors_container(installation), installation.own_database_password
    elif dsn is None and database is not None:
        dsn, password = _dsn(database), database.password
    base = _with_blobs(base, options, installation)
    return replace(
        base,
        site=base.site if base.site != "registry" else _site_name(installation.public_host),
        further=tuple(_notary(each, password) for each in installation.notary) if database else (),
        harbor_url=installation.url,
        dsn=dsn,
        container=container,
        password=password,
        secrets=secret_paths.found((*installation.needed, *installation.useful)),
        warnings=(*base.warnings, *secret_paths.missing(installation.needed), *_charts(installation)),
    )


def _from_registry(base: Plan, options: InitOptions, found: RegistryInstallation) -> Plan:
    """The plan for a registry without Harbor, by its own configuration."""
    base = replace(
        base,
        site=base.site if base.site != "registry" else _site_name(found.host),
        secrets=secret_paths.found(found.needed),
        warnings=(*found.remarks, *secret_paths.missing(found.needed)),
    )
    if found.bucket is not None:
        return _with_bucket(base, options, found.bucket, f"storage.s3 in {found.file.name}")
    root = options.root.absolute() if options.root else found.root
    assert root is not None
    if not root.is_dir():
        raise ConfigError(
            f"there is no {root}, where {found.file} has the images",
            hint="run init on the machine that has them; where the registry runs in a container, give the"
            " directory of this machine with --root",
        )
    if found.program == "zot":
        return replace(base, blobs=config.LayoutBlobs(kind="oci", path=root))
    return replace(base, blobs=config.FilesystemBlobs(path=root))


def _dsn(database: HarborDatabase) -> str:
    return targets.connection_string(
        host=database.host,
        port=str(database.port),
        user=database.user,
        dbname=database.name,
        sslmode=database.ssl_mode,
    )


def _notary(database: HarborDatabase, password: str | None) -> FurtherDatabase:
    own = database.password if database.password != password else None
    return FurtherDatabase(_site_name(database.name), _dsn(database), password=own)


def _site_name(text: str) -> str:
    """A name as the configuration takes it, of a host or whatever else: an IPv6 address has colons."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "registry"


def _charts(installation: Installation) -> list[str]:
    """ChartMuseum's charts are neither images nor secrets; an upgrade of Harbor leaves them there."""
    directory = installation.chart_storage
    if not directory.is_dir() or not any(directory.iterdir()):
        return []
    return [
        f"{directory} is not protected: it has Helm charts of Harbor's ChartMuseum (to 2.7); keep a copy of"
        " its files, or push the charts as OCI artifacts"
    ]


def _with_blobs(base: Plan, options: InitOptions, installation: Installation) -> Plan:
    """Where the images are, as harbor.yml has it."""
    match installation.storage:
        case "filesystem":
            if not installation.root_directory.is_dir():
                raise ConfigError(
                    f"there is no {installation.root_directory}, where {installation.harbor_yml} has the"
                    " images",
                    hint="run init on the machine that has Harbor's data volume",
                )
            return replace(base, blobs=config.FilesystemBlobs(path=installation.root_directory))
        case "s3":
            source = storage_service.bucket(installation.service, installation.harbor_yml)
            base = replace(base, warnings=source.regrets)
            return _with_bucket(base, options, source, "storage_service.s3 in harbor.yml")
        case other:
            return replace(base, blobs=None, warnings=(init_bucket.unknown(other),))


def _with_bucket(base: Plan, options: InitOptions, source: RegistryBucket, said: str) -> Plan:
    """A bucket that the registry's configuration names, with the keys that it gives."""
    file = base.directory / BUCKET_CREDENTIALS if source.credentials else None
    vault = init_bucket.vault(options.vault, options.vault_credentials, options.vault_region)
    return replace(
        base,
        blobs=init_bucket.blobs(source, vault, file, said),
        vault=vault,
        bucket_credentials=source.credentials,
    )


def _with_plain_bucket(base: Plan, options: InitOptions, address: str) -> Plan:
    """The bucket of a registry that is no Harbor; its keys are in a file already, if it needs any."""
    vault = init_bucket.vault(options.vault, options.vault_credentials, options.vault_region)
    keys = options.bucket_credentials
    source = init_bucket.plain_bucket(address)
    blobs = init_bucket.blobs(source, vault, keys and keys.absolute(), "the registry's bucket")
    return replace(base, blobs=blobs, vault=vault)


def _harbors_container(installation: Installation) -> str:
    """The container of Harbor's own database, if it runs here; raises ConfigError."""
    try:
        return docker.find(HARBOR_CONTAINER).name
    except DrkitError as error:
        raise ConfigError(
            f"{installation.harbor_yml} uses Harbor's own database, and its container is out of reach: "
            f"{error.message}",
            hint="start Harbor, or give the database's address with --database-dsn",
        ) from None
