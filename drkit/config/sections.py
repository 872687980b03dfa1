"""The sections of drkit.toml, each key with its type and default; docs/configuration.md describes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, PrivateAttr, Tag

from drkit.config.fields import (
    AbsolutePath,
    CronExpression,
    Duration,
    Name,
    bucket_name,
    command_line,
    key_prefix,
    no_password_in_dsn,
    no_password_in_url,
    web_address,
)
from drkit.errors import UsageError


class Section(BaseModel):
    """What all sections have in common: an unknown key is an error, and nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Site(Section):
    """`[site]`: one registry installation.

    `dropped` names sources that points have, or harbor.yml names, and that are deliberately not backed up.
    """

    name: Name
    state: AbsolutePath = Path("/var/lib/drkit")
    lock_wait: Duration = timedelta(minutes=10)
    dropped: tuple[Annotated[str, Field(pattern=r"^(blobs(:.+)?|database:.+|secrets:/.+)$")], ...] = ()


class Objectives(Section):
    """`[objectives]`: what must be true; one that is not given is not judged."""

    rpo: Duration | None = None
    rto: Duration | None = None
    drill: Duration | None = None


class Database(Section):
    """`[[database]]`: a PostgreSQL database, by libpq connection string, or by the container it runs in.

    `container` is docker's name of it; `dsn` may then say more than the user postgres and database registry.
    `count_only` names tables (`audit_log`, `public.audit_*`) whose rows are counted and not hashed;
    `lock_wait` is how long to wait in all for tables that a migration holds.
    """

    name: Name
    dsn: Annotated[str, AfterValidator(no_password_in_dsn)] | None = None
    container: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")] | None = None
    password_file: AbsolutePath | None = None
    count_only: tuple[str, ...] = ()
    lock_wait: Duration = timedelta(seconds=30)


class FilesystemBlobs(Section):
    """`[blobs]` in a directory: the registry's root directory, and how it is held still while it is read."""

    kind: Literal["filesystem"] = "filesystem"
    path: AbsolutePath
    volume: Literal["auto", "btrfs", "zfs", "lvm", "reflink", "live"] = "auto"

    @property
    def where(self) -> str:
        """The root directory, for a person and for the manifest."""
        return str(self.path)


class S3(Section):
    """How to reach a bucket, and as whom.

    Without `endpoint` it is Amazon's. The credentials are KEY=value lines in `credentials_file`, or a
    `profile` of ~/.aws, or, where neither is named, what the environment or the machine has.
    """

    bucket: Annotated[str, AfterValidator(bucket_name)]
    endpoint: Annotated[str, AfterValidator(web_address)] | None = None
    region: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] | None = None
    credentials_file: AbsolutePath | None = None
    profile: str | None = None
    ca_file: AbsolutePath | None = None
    addressing: Literal["auto", "path", "virtual"] = "auto"


class BucketBlobs(S3):
    """`[blobs]` in a bucket: the registry's own; `root` is its `rootdirectory`."""

    kind: Literal["s3"]
    root: Annotated[str, AfterValidator(key_prefix)] = ""

    @property
    def where(self) -> str:
        """The root directory in its bucket, for a person and for the manifest: `s3://bucket/root`."""
        return f"s3://{self.bucket}/{self.root}".rstrip("/")


class Vault(S3):
    """`[vault]`: the bucket where the blobs of a bucket are kept under their digest, below `prefix`.

    `lock` is the mode in which blobs are locked where the bucket has Object Lock; `lock_for` how long at
    least, where retention alone does not tell. `shared` lets a backup use a vault that keeps the blobs of
    another repository, too.
    """

    prefix: Annotated[str, AfterValidator(key_prefix)] = ""

    @property
    def where(self) -> str:
        """For a person: `s3://bucket/prefix`."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    lock: Literal["governance", "compliance", "none"] = "governance"
    lock_for: Duration | None = None
    shared: bool = False


def _kind_of_blobs(value: object) -> str:
    if isinstance(value, dict):
        return str(value.get("kind", "filesystem"))
    # What is no section at all is told so by the kind that stands for itself.
    return str(getattr(value, "kind", "filesystem"))


Blobs = Annotated[
    Annotated[FilesystemBlobs, Tag("filesystem")] | Annotated[BucketBlobs, Tag("s3")],
    Discriminator(_kind_of_blobs),
]
KINDS_OF_BLOBS: dict[str, type[FilesystemBlobs | BucketBlobs]] = {
    "filesystem": FilesystemBlobs,
    "s3": BucketBlobs,
}


class Secrets(Section):
    """`[secrets]`: files to protect, who can open the bundle, and the identity for drills.

    `expiry_warning` is how long before a certificate's end it becomes a problem.
    """

    paths: tuple[AbsolutePath, ...] = ()
    recipients: tuple[str, ...] = ()
    identity_file: AbsolutePath | None = None
    cosign_password_file: AbsolutePath | None = None
    expiry_warning: Duration = timedelta(days=30)


class Retention(Section):
    """`[retention]`: how many recovery points to keep, newest first, by period; all zero keeps everything.

    In a `[[repository]]` it holds there, instead of the common one.
    """

    keep_last: int = Field(0, ge=0)
    keep_hourly: int = Field(0, ge=0)
    keep_daily: int = Field(0, ge=0)
    keep_weekly: int = Field(0, ge=0)
    keep_monthly: int = Field(0, ge=0)
    keep_yearly: int = Field(0, ge=0)


class Repository(Section):
    """`[[repository]]`: a restic repository.

    `stall_limit` is how long restic may move nothing before it is ended; `rpo` how old the newest point may
    be in a repository that points are copied to.
    """

    name: Name
    url: Annotated[str, AfterValidator(no_password_in_url), Field(min_length=1)]
    password_file: AbsolutePath
    credentials_file: AbsolutePath | None = None
    lock_wait: Duration = timedelta(minutes=5)
    stall_limit: Duration = timedelta(minutes=20)
    rpo: Duration | None = None
    retention: Retention | None = None


class Harbor(Section):
    """`[harbor]`: how to keep out of the way of garbage collection, and Harbor's API where it is needed."""

    url: Annotated[str, AfterValidator(web_address)] | None = None
    user: str | None = None
    password_file: AbsolutePath | None = None
    ca_file: AbsolutePath | None = None
    wait_for_collection: Duration = timedelta(minutes=30)
    read_only: bool = False


class Registry(Section):
    """`[registry]`: the registry that runs, where images are pushed to, and as whom."""

    url: Annotated[str, AfterValidator(web_address)]
    credentials_file: AbsolutePath | None = None
    ca_file: AbsolutePath | None = None


class Schedule(Section):
    """`[schedule]`: cron expressions, in the machine's local time."""

    backup: CronExpression | None = None
    copy_: CronExpression | None = Field(None, alias="copy")
    drill: CronExpression | None = None
    expire: CronExpression | None = None
    verify: CronExpression | None = None

    @property
    def jobs(self) -> dict[str, str]:
        """Verb -> cron expression, for the verbs that have one."""
        jobs = self.model_dump(by_alias=True).items()
        return {verb: expression for verb, expression in jobs if expression}


class Drill(Section):
    """`[drill]`: where sandboxes stand, and as whom their PostgreSQL runs when drkit is root.

    `database_image` names an image, for a PostgreSQL major that this machine does not have.
    """

    directory: AbsolutePath | None = None
    user: str = "postgres"
    database_image: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./:@-]*$")] | None = None


class Restore(Section):
    """`[restore]`: commands that stop and start the service around a restore, run without a shell."""

    stop: Annotated[str, AfterValidator(command_line)] | None = None
    start: Annotated[str, AfterValidator(command_line)] | None = None


class Notify(Section):
    """`[notify]`: apprise addresses that are told of failures and recoveries, or a file that lists them."""

    urls: tuple[str, ...] = ()
    urls_file: AbsolutePath | None = None


class Runbook(Section):
    """`[runbook]`: where runbooks are written, and whom they tell to call, one line each."""

    directory: AbsolutePath | None = None
    contacts: tuple[str, ...] = ()


class Metrics(Section):
    """`[metrics]`: a file for node_exporter's textfile collector."""

    textfile: AbsolutePath


@dataclass(frozen=True)
class ConfigurationFile:
    """The file that a configuration was read from, as it stood."""

    path: Path
    text: str
    mode: int
    uid: int
    gid: int


class Config(Section):
    """The whole file."""

    _file: ConfigurationFile | None = PrivateAttr(None)

    site: Site
    objectives: Objectives = Objectives()
    databases: tuple[Database, ...] = Field((), alias="database")
    blobs: Blobs | None = None
    vault: Vault | None = None
    secrets: Secrets = Secrets()
    repositories: tuple[Repository, ...] = Field(alias="repository", min_length=1)
    harbor: Harbor | None = None
    registry: Registry | None = None
    retention: Retention = Retention()
    schedule: Schedule = Schedule()
    drill: Drill = Drill()
    restore: Restore = Restore()
    notify: Notify = Notify()
    metrics: Metrics | None = None
    runbook: Runbook = Runbook()

    @property
    def file(self) -> ConfigurationFile | None:
        """Where all of this stands, if it stands anywhere."""
        return self._file

    def read_from(self, file: ConfigurationFile) -> Config:
        """The same, knowing where it stands."""
        self._file = file
        return self

    @property
    def primary(self) -> Repository:
        """The first repository: backups go there."""
        return self.repositories[0]

    @property
    def sandboxes(self) -> Path:
        """The directory below which drills build their sandboxes."""
        return self.drill.directory or self.site.state / "sandbox"

    def retention_of(self, repository: Repository) -> Retention:
        """What `expire` keeps in a repository."""
        return repository.retention or self.retention

    def repository(self, name: str | None) -> Repository:
        """The repository of that name, or the primary; raises UsageError for an unknown name."""
        if name is None:
            return self.primary
        for repository in self.repositories:
            if repository.name == name:
                return repository
        known = ", ".join(repository.name for repository in self.repositories)
        raise UsageError(f'there is no repository "{name}" in the configuration', hint=f"there is: {known}")
