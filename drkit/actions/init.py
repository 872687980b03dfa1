"""`drkit init`: a configuration that works, and the keys that it needs.

The plan is made first and in full; files are written only when nothing can go wrong any more, and nothing
that exists is ever written over.
"""

from __future__ import annotations

import json
import os
import secrets as random_secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drkit import config
from drkit.actions import secret_paths
from drkit.catalog import open_catalog
from drkit.errors import ConfigError, DrkitError, RepositoryMissing, UsageError
from drkit.harbor import tables
from drkit.harbor.installation import Installation, Needed, read_installation
from drkit.logs import register_secret
from drkit.sources import database
from drkit.state import State
from drkit.tools import age, docker, postgres, restic

RESTIC_PASSWORD = "restic.password"
DATABASE_PASSWORD = "database.password"
IDENTITY = "drill.agekey"
# As Harbor's docker-compose.yml names it.
HARBOR_CONTAINER = "harbor-db"


@dataclass(frozen=True)
class Wishes:
    """What the command line or the answers say; None where nothing was said."""

    harbor: Path | None = None
    repository: str | None = None
    output: Path | None = None
    state: Path | None = None
    further_secrets: tuple[Path, ...] = ()
    database_dsn: str | None = None
    site: str | None = None
    blobs: Path | None = None
    cosign_password: Path | None = None


@dataclass(frozen=True)
class InitResult:
    """What was written, and what the user must do with it."""

    config: Path
    site: str
    database: str | None
    blobs: Path | None
    secret_paths: tuple[Path, ...]
    secret_purposes: tuple[Needed, ...]
    repository: str
    repository_made: bool
    written: tuple[Path, ...]
    keep_outside: tuple[Path, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Plan:
    site: str
    dsn: str | None
    password: str | None
    blobs: Path | None
    secrets: tuple[Needed, ...]
    repository: str
    output: Path
    state: Path
    cosign_password: Path | None = None
    warnings: tuple[str, ...] = ()
    container: str | None = None

    @property
    def database(self) -> str | None:
        """Where the database is, as the configuration will say it."""
        return f"container {self.container}" if self.container else self.dsn

    @property
    def directory(self) -> Path:
        return self.output.parent

    @property
    def secret_paths(self) -> tuple[Path, ...]:
        return tuple(needed.path for needed in self.secrets)


def init(wishes: Wishes) -> InitResult:
    """Write the configuration, the restic password and an age identity, and make the repository.

    Raises UsageError where something is missing, ConfigError, DatabaseUnreachable, the repository's errors.
    """
    restic.require(restic.version())
    plan = _plan(wishes)
    if plan.output.exists():
        raise ConfigError(
            f"{plan.output} exists already",
            hint="edit it, or name another file with --output; nothing was changed",
        )
    warnings = list(plan.warnings)
    if plan.database:
        warnings += _try_database(plan)
    written = list(_write_keys(plan))
    recipient = age.recipients_of(age.read_identities(plan.directory / IDENTITY))[0]
    text = render(plan, recipient)
    settings = config.parse_config(text, str(plan.output))
    State(settings.site.state).prepare()
    made = _make_repository(settings)
    _write_private(plan.output, text, mode=0o640)
    written.append(plan.output)
    return InitResult(
        config=plan.output,
        site=plan.site,
        database=plan.database,
        blobs=plan.blobs,
        secret_paths=plan.secret_paths,
        secret_purposes=plan.secrets,
        repository=plan.repository,
        repository_made=made,
        written=tuple(written),
        keep_outside=(plan.directory / RESTIC_PASSWORD, plan.directory / IDENTITY),
        warnings=tuple(warnings),
    )


def _plan(wishes: Wishes) -> _Plan:
    output = (wishes.output or config.DEFAULT_PATH).absolute()
    if wishes.repository is None:
        raise UsageError(
            "say where restic shall keep the backups",
            hint="--repository /backup/drkit, or sftp:..., s3:..., rest:...",
        )
    url = wishes.repository
    if "://" not in url and ":" not in url:
        url = str(Path(url).absolute())
    state = (wishes.state or _default_state()).absolute()
    base = _Plan(wishes.site or "registry", wishes.database_dsn, None, wishes.blobs, (), url, output, state)
    if wishes.harbor:
        base = _from_harbor(base, read_installation(wishes.harbor.absolute()))
    further = tuple(path.absolute() for path in wishes.further_secrets)
    password = wishes.cosign_password.absolute() if wishes.cosign_password else None
    for path, option in (*((path, "--secret") for path in further), (password, "--cosign-password")):
        if path is not None and not path.exists():
            raise ConfigError(f"there is no {path}", hint=f"see {option}")
    named = {needed.path for needed in base.secrets}
    more = tuple(Needed(path, secret_paths.described(path)) for path in further if path not in named)
    plan = replace(base, secrets=base.secrets + more, cosign_password=password)
    if not (plan.database or plan.blobs or plan.secret_paths):
        raise UsageError(
            "there is nothing to protect", hint="give --harbor FILE, or answer the questions at a terminal"
        )
    return plan


def _default_state() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/drkit")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "drkit"


def _from_harbor(base: _Plan, installation: Installation) -> _Plan:
    database = installation.database
    warnings = []
    dsn, password, container = base.dsn, None, None
    if dsn is None and database is None:
        container, password = _harbors_container(installation), installation.own_database_password
    elif dsn is None and database is not None:
        dsn = (
            f"host={database.host} port={database.port} user={database.user} dbname={database.name}"
            f" sslmode={database.ssl_mode}"
        )
        password = database.password
    blobs: Path | None = installation.root_directory
    if installation.storage != "filesystem":
        warnings.append(
            f"the images are in {installation.storage}, which this version of drkit does not back up: "
            "the configuration protects database and secrets alone"
        )
        blobs = None
    elif not installation.root_directory.is_dir():
        raise ConfigError(
            f"there is no {installation.root_directory}, where {installation.harbor_yml} has the images",
            hint="run init on the machine that has Harbor's data volume",
        )
    return replace(
        base,
        site=base.site if base.site != "registry" else installation.hostname,
        dsn=dsn,
        container=container,
        password=password,
        blobs=blobs,
        secrets=secret_paths.found(installation),
        warnings=(*warnings, *secret_paths.missing(installation)),
    )


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


def _try_database(plan: _Plan) -> list[str]:
    """Connect once, so that what is written is known to work; returns warnings."""
    entry = config.Database(name="registry", dsn=plan.dsn, container=plan.container)
    target = replace(database.target_of(entry), password=plan.password)
    with postgres.connect(target) as session:
        if tables.is_harbor(session):
            return []
        return [f"{target.where} has none of Harbor's tables, so images cannot be compared with it"]


def _write_keys(plan: _Plan) -> Sequence[Path]:
    plan.directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    identity, recipient = age.generate()
    contents = {
        RESTIC_PASSWORD: register_secret(random_secrets.token_urlsafe(32)) + "\n",
        IDENTITY: f"# public key: {recipient}\n{identity}\n",
    }
    if plan.password is not None:
        contents[DATABASE_PASSWORD] = plan.password + "\n"
    written = []
    for name, content in contents.items():
        path = plan.directory / name
        if not path.exists():
            _write_private(path, content)
            written.append(path)
    return written


def _write_private(path: Path, content: str, mode: int = 0o600) -> None:
    try:
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8"
        ) as file:
            file.write(content)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", hint="name another file with --output"
        ) from None


def _make_repository(settings: config.Config) -> bool:
    """Make the repository if it is not there; True if it was made."""
    repository = open_catalog(settings).repository
    try:
        repository.open()
    except RepositoryMissing:
        repository.initialise()
        return True
    return False


def render(plan: _Plan, recipient: str) -> str:
    """The configuration as TOML."""
    sections = [_TOP.format(site=_quoted(plan.site), state=_quoted(plan.state))]
    if plan.database:
        where = f"container = {_quoted(plan.container)}" if plan.container else f"dsn = {_quoted(plan.dsn)}"
        password = plan.directory / DATABASE_PASSWORD if plan.password is not None else None
        line = f"password_file = {_quoted(password)}\n" if password else ""
        sections.append(f'[[database]]\nname = "registry"\n{where}\n{line}')
    if plan.blobs:
        sections.append(f'[blobs]\nkind = "filesystem"\npath = {_quoted(plan.blobs)}\nvolume = "auto"\n')
    paths = "".join(f"    {_quoted(each.path)},    # {each.purpose}\n" for each in plan.secrets)
    cosign = f"cosign_password_file = {_quoted(plan.cosign_password)}\n" if plan.cosign_password else ""
    sections.append(
        f"[secrets]\npaths = [\n{paths}]\nrecipients = [\n    {_quoted(recipient)},\n]\n"
        f"identity_file = {_quoted(plan.directory / IDENTITY)}    # for drills alone\n{cosign}"
    )
    password_file = _quoted(plan.directory / RESTIC_PASSWORD)
    url = _quoted(plan.repository)
    sections.append(f'[[repository]]\nname = "primary"\nurl = {url}\npassword_file = {password_file}\n')
    sections.append(_REST)
    return "\n".join(sections)


def _quoted(value: object) -> str:
    """A TOML basic string; JSON's escapes are among TOML's."""
    return json.dumps(str(value), ensure_ascii=False)


_TOP = """\
# Written by `drkit init`. Secrets are never in this file, only the names of files that hold them.

[site]
name = {site}
state = {state}

[objectives]
rpo = "26h"                # the newest sealed recovery point may be this old
rto = "4h"                 # a drill must bring everything back in this
drill = "14d"              # the last passed full drill may be this old
"""

_REST = """\
[retention]
keep_last = 3
keep_daily = 7
keep_weekly = 5
keep_monthly = 12

[schedule]
backup = "0 2 * * *"
drill = "0 5 * * 0"
expire = "0 4 * * *"
"""
