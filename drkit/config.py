"""drkit.toml -> frozen settings.

Secrets never stand in the file, only the names of files that hold them; see the README for every key.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)

from drkit import cron
from drkit.errors import ConfigError

DEFAULT_PATH = Path("/etc/drkit/drkit.toml")

_DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_duration(text: str) -> timedelta:
    """`"90d"`, `"1h30m"` or `"45s"` as a timedelta.

    Raises ValueError for anything else, zero included.
    """
    pieces = _DURATION.findall(text)
    if not pieces or _DURATION.sub("", text).strip():
        raise ValueError('a duration looks like "45s", "30m", "24h", "7d" or "2w"')
    seconds = sum(int(number) * _UNITS[unit] for number, unit in pieces)
    if seconds == 0:
        raise ValueError("a duration is longer than nothing")
    return timedelta(seconds=seconds)


def _duration(value: object) -> timedelta:
    if not isinstance(value, str):
        raise ValueError('a duration is a string such as "24h"')
    return parse_duration(value)


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("the path is absolute: a timer runs in another directory than you")
    return path


def _no_password_in_dsn(dsn: str) -> str:
    if re.search(r"password\s*=", dsn) or re.search(r"://[^/@\s]*:[^/@\s]*@", dsn):
        raise ValueError("the password stands in a file of its own, named by password_file")
    return dsn


def _no_password_in_url(url: str) -> str:
    if re.search(r"://[^/@\s]*:[^/@\s]+@", url):
        raise ValueError("the credentials stand in a file of KEY=value lines, named by credentials_file")
    return url


def _web_address(url: str) -> str:
    if not re.fullmatch(r"https?://[^/@\s?#]+(?:/[^@\s?#]*)?", url):
        raise ValueError("it looks like https://registry.example.com, without user and password")
    return url


def _bucket_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}", name):
        raise ValueError("it is the name alone, such as harbor-blobs; the service's address is endpoint")
    return name


def _key_prefix(prefix: str) -> str:
    return prefix.strip("/")


def _plain_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise ValueError("a name is made of letters, digits, dots, dashes and underscores")
    return name


def _cron(expression: str) -> str:
    try:
        cron.parse(expression)
    except ValueError as error:
        raise ValueError(f'"{expression}" is no cron expression such as "0 2 * * *": {error}') from None
    return expression


Duration = Annotated[timedelta, BeforeValidator(_duration)]
AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
Name = Annotated[str, AfterValidator(_plain_name)]
CronExpression = Annotated[str, AfterValidator(_cron)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Site(_Section):
    """`[site]`: one registry installation."""

    name: Name
    state: AbsolutePath = Path("/var/lib/drkit")
    lock_wait: Duration = timedelta(minutes=10)


class Objectives(_Section):
    """`[objectives]`: what must be true; one that is not given is not judged."""

    rpo: Duration | None = None
    rto: Duration | None = None
    drill: Duration | None = None


class Database(_Section):
    """`[[database]]`: a PostgreSQL database, by libpq connection string, or by the container it runs in.

    `container` is docker's name of it; `dsn` may then say more than the user postgres and database registry.
    `count_only` names tables (`audit_log`, `public.audit_*`) whose rows are counted and not hashed;
    `lock_wait` is how long to wait in all for tables that a migration holds.
    """

    name: Name
    dsn: Annotated[str, AfterValidator(_no_password_in_dsn)] | None = None
    container: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None = None
    password_file: AbsolutePath | None = None
    count_only: tuple[str, ...] = ()
    lock_wait: Duration = timedelta(seconds=30)


class FilesystemBlobs(_Section):
    """`[blobs]` in a directory: the registry's root directory, and how it is held still while it is read."""

    kind: Literal["filesystem"] = "filesystem"
    path: AbsolutePath
    volume: Literal["auto", "btrfs", "zfs", "lvm", "reflink", "live"] = "auto"

    @property
    def where(self) -> str:
        """The root directory, for a person and for the manifest."""
        return str(self.path)


class S3(_Section):
    """How to reach a bucket, and as whom.

    Without `endpoint` it is Amazon's. The credentials are KEY=value lines in `credentials_file`, or a
    `profile` of ~/.aws, or, where neither is named, what the environment or the machine has.
    """

    bucket: Annotated[str, AfterValidator(_bucket_name)]
    endpoint: Annotated[str, AfterValidator(_web_address)] | None = None
    region: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = None
    credentials_file: AbsolutePath | None = None
    profile: str | None = None
    ca_file: AbsolutePath | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"


class BucketBlobs(S3):
    """`[blobs]` in a bucket: the registry's own; `root` is its `rootdirectory`."""

    kind: Literal["s3"]
    root: Annotated[str, AfterValidator(_key_prefix)] = ""

    @property
    def where(self) -> str:
        """The root directory in its bucket, for a person and for the manifest: `s3://bucket/root`."""
        return f"s3://{self.bucket}/{self.root}".rstrip("/")


class Vault(S3):
    """`[vault]`: the bucket where the blobs of a bucket are kept under their digest, below `prefix`.

    `lock` is the mode in which blobs are locked where the bucket has Object Lock; `lock_for` how long at
    least, where retention alone does not tell.
    """

    prefix: Annotated[str, AfterValidator(_key_prefix)] = ""

    @property
    def where(self) -> str:
        """For a person: `s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    lock: Literal["governance", "compliance", "none"] = "governance"
    lock_for: Duration | None = None


def _kind_of_blobs(value: object) -> str:
    if isinstance(value, dict):
        return str(value.get("kind", "filesystem"))
    # What is no section at all is told so by the kind that stands for itself.
    return str(getattr(value, "kind", "filesystem"))


Blobs = Annotated[
    Annotated[FilesystemBlobs, Tag("filesystem")] | Annotated[BucketBlobs, Tag("s3")],
    Discriminator(_kind_of_blobs),
]
_KINDS_OF_BLOBS: dict[str, type[FilesystemBlobs | BucketBlobs]] = {
    "filesystem": FilesystemBlobs,
    "s3": BucketBlobs,
}


class Secrets(_Section):
    """`[secrets]`: files to protect, who can open the bundle, and the identity for drills.

    `expiry_warning` is how long before a certificate's end it becomes a problem.
    """

    paths: tuple[AbsolutePath, ...] = ()
    recipients: tuple[str, ...] = ()
    identity_file: AbsolutePath | None = None
    cosign_password_file: AbsolutePath | None = None
    expiry_warning: Duration = timedelta(days=30)


class Repository(_Section):
    """`[[repository]]`: a restic repository."""

    name: Name
    url: Annotated[str, AfterValidator(_no_password_in_url), Field(min_length=1)]
    password_file: AbsolutePath
    credentials_file: AbsolutePath | None = None
    lock_wait: Duration = timedelta(minutes=5)


class Harbor(_Section):
    """`[harbor]`: how to keep out of the way of garbage collection, and Harbor's API where it is needed."""

    url: Annotated[str, AfterValidator(_web_address)] | None = None
    user: str | None = None
    password_file: AbsolutePath | None = None
    ca_file: AbsolutePath | None = None
    wait_for_collection: Duration = timedelta(minutes=30)
    read_only: bool = False


class Retention(_Section):
    """`[retention]`: how many recovery points to keep, newest first, by period; all zero keeps everything."""

    keep_last: int = Field(0, ge=0)
    keep_hourly: int = Field(0, ge=0)
    keep_daily: int = Field(0, ge=0)
    keep_weekly: int = Field(0, ge=0)
    keep_monthly: int = Field(0, ge=0)
    keep_yearly: int = Field(0, ge=0)


class Schedule(_Section):
    """`[schedule]`: cron expressions, in the machine's local time."""

    backup: CronExpression | None = None
    drill: CronExpression | None = None
    expire: CronExpression | None = None
    verify: CronExpression | None = None

    @property
    def jobs(self) -> dict[str, str]:
        """Verb -> cron expression, for the verbs that have one."""
        return {verb: expression for verb, expression in self.model_dump().items() if expression}


class Drill(_Section):
    """`[drill]`: where sandboxes stand, and as whom their PostgreSQL runs when drkit is root.

    `database_image` names an image, for a PostgreSQL major that this machine does not have.
    """

    directory: AbsolutePath | None = None
    user: str = "postgres"
    database_image: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./:@-]*$")] | None = None


class Notify(_Section):
    """`[notify]`: apprise addresses that are told of failures and recoveries, or a file that lists them."""

    urls: tuple[str, ...] = ()
    urls_file: AbsolutePath | None = None


class Metrics(_Section):
    """`[metrics]`: a file for node_exporter's textfile collector."""

    textfile: AbsolutePath


class Config(_Section):
    """The whole file."""

    site: Site
    objectives: Objectives = Objectives()
    databases: tuple[Database, ...] = Field((), alias="database")
    blobs: Blobs | None = None
    vault: Vault | None = None
    secrets: Secrets = Secrets()
    repositories: tuple[Repository, ...] = Field(alias="repository", min_length=1)
    harbor: Harbor | None = None
    retention: Retention = Retention()
    schedule: Schedule = Schedule()
    drill: Drill = Drill()
    notify: Notify = Notify()
    metrics: Metrics | None = None

    @property
    def primary(self) -> Repository:
        """The first repository: backups go there."""
        return self.repositories[0]

    @property
    def sandboxes(self) -> Path:
        """The directory below which drills build their sandboxes."""
        return self.drill.directory or self.site.state / "sandbox"

    def repository(self, name: str | None) -> Repository:
        """The repository of that name, or the primary; raises ConfigError for an unknown name."""
        if name is None:
            return self.primary
        for repository in self.repositories:
            if repository.name == name:
                return repository
        known = ", ".join(repository.name for repository in self.repositories)
        raise ConfigError(f'there is no repository "{name}" in the configuration', hint=f"there is: {known}")


def find_config(option: Path | None) -> Path:
    """The file to read: `--config`, else `$DRKIT_CONFIG`, else /etc/drkit/drkit.toml."""
    return option or Path(os.environ.get("DRKIT_CONFIG") or DEFAULT_PATH)


def load_config(path: Path) -> Config:
    """Read and check the file; raises ConfigError that names the key, its place and the nearest known key."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        hint = "make one with `drkit init`, or name it with --config or DRKIT_CONFIG"
        raise ConfigError(f"there is no configuration at {path}", hint=hint) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}", hint="it is a UTF-8 text file that drkit's user may read"
        ) from None
    return parse_config(text, str(path))


def parse_config(text: str, source: str) -> Config:
    """The settings that a TOML text says; `source` names it in errors."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source} is not TOML: {error}", hint="strings stand in double quotes") from None
    try:
        # Through JSON, since only there do strict types and paths given as strings go together.
        config = Config.model_validate_json(json.dumps(document, default=str))
    except ValidationError as error:
        raise _explain(error, source) from None
    _check_whole(config, source)
    return config


def _check_whole(config: Config, source: str) -> None:
    for what, names in (
        ("database", [database.name for database in config.databases]),
        ("repository", [repository.name for repository in config.repositories]),
    ):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ConfigError(
                f'{source}: two [[{what}]] are named "{twice}"', hint="give each a name of its own"
            )
    for number, database in enumerate(config.databases, 1):
        if database.dsn is None and database.container is None:
            raise ConfigError(
                f'{source}: "dsn" is missing in [[database]] number {number}',
                hint='every database needs it, or container = "harbor-db"; see the README',
            )
    if config.secrets.paths and not config.secrets.recipients:
        raise ConfigError(
            f"{source}: [secrets] names paths but no recipients",
            hint="give at least one age recipient (age1...), or nobody could open the bundle",
        )
    if isinstance(config.blobs, BucketBlobs):
        _check_vault(config.blobs, config.vault, source)
    if config.harbor:
        _check_harbor(config.harbor, source)


def _check_vault(blobs: BucketBlobs, vault: Vault | None, source: str) -> None:
    """Blobs in a bucket are kept in another: in the same one, what loses the one loses the other."""
    if vault is None:
        raise ConfigError(
            f"{source}: [blobs] are in a bucket, and there is no [vault]",
            hint="name the bucket that keeps them, in another account, region or provider, as [vault]",
        )
    if (blobs.bucket, blobs.endpoint) == (vault.bucket, vault.endpoint):
        raise ConfigError(
            f"{source}: [vault] is the bucket that it protects, {vault.bucket}",
            hint="use another bucket, best in another account, region or at another provider",
        )


def _check_harbor(harbor: Harbor, source: str) -> None:
    """The API needs all three, or is not used."""
    given = {"url": harbor.url, "user": harbor.user, "password_file": harbor.password_file}
    missing = [key for key, value in given.items() if value is None]
    wanted = harbor.read_only or harbor.ca_file is not None or len(missing) < len(given)
    if wanted and missing:
        raise ConfigError(
            f"{source}: [harbor] has no {' and no '.join(missing)}",
            hint="Harbor's API needs url, user and password_file; only waiting works without it",
        )


def _explain(error: ValidationError, source: str) -> ConfigError:
    errors = error.errors(include_url=False)
    # A misspelt key shows as an unknown one and a missing one: the unknown one tells more.
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    location = first["loc"]
    section = _section_of_blobs(location)
    if section:
        # The kind of blobs stands in the location, and is no key that a person wrote.
        location = (location[0], *location[2:])
    while isinstance(location[-1], int):  # an item of a list: its key is what a person looks for
        location = location[:-1]
    place, key = _place(location), str(location[-1])
    match first["type"]:
        case "extra_forbidden":
            keys = _keys_of(section) if section else _known_keys(location[:-1])
            near, known = difflib.get_close_matches(key, keys, n=1), ", ".join(keys)
            hint = f'did you mean "{near[0]}"?' if near else f"known keys are: {known}"
            return ConfigError(f'{source}: unknown key "{key}" {place}', hint=hint)
        case "missing":
            return ConfigError(
                f'{source}: "{key}" is missing {place}', hint="every site needs it; see the README"
            )
        case "union_tag_invalid":
            kinds = " or ".join(f'"{kind}"' for kind in _KINDS_OF_BLOBS)
            return ConfigError(f'{source}: "kind" in [{key}] is wrong', hint=f"it is {kinds}")
        case "too_short":
            return ConfigError(f'{source}: "{key}" {place} is empty', hint="give at least one")
        case "value_error":
            return ConfigError(f'{source}: "{key}" {place} is wrong', hint=str(first["ctx"]["error"]))
        case _:
            pass
    said = first["msg"][0].lower() + first["msg"][1:]
    return ConfigError(
        f'{source}: "{key}" {place} is wrong: {said}', hint="see the README for its type and an example"
    )


def _place(location: tuple[int | str, ...]) -> str:
    section = location[:-1]
    if not section:
        return "at the top level"
    if len(section) > 1 and isinstance(section[1], int):
        return f"in [[{section[0]}]] number {section[1] + 1}"
    return f"in [{section[0]}]"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = Config
    for step in location:
        if isinstance(step, str):
            field = next(f for name, f in section.model_fields.items() if step in (name, f.alias))
            section = _section_in(field.annotation)
    return _keys_of(section)


def _keys_of(section: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]


def _section_of_blobs(location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The section that a place within [blobs] is in, which its kind decides."""
    if len(location) < 2 or location[0] != "blobs":
        return None
    return _KINDS_OF_BLOBS.get(str(location[1]))


def _section_in(annotation: Any) -> type[BaseModel]:
    """The section's class in `Blobs`, `Blobs | None` or `tuple[Database, ...]`."""
    candidates = [annotation, *get_args(annotation)]
    return next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
