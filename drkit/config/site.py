"""The whole file: `[site]`, `[objectives]`, and all other sections."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, PrivateAttr

from drkit.config.cluster import Cluster
from drkit.config.fields import AbsolutePath, Duration, Name, cluster_address
from drkit.config.limits import Hook, Limits, MaxDuration
from drkit.config.repositories import Repository, Retention
from drkit.config.section import Section
from drkit.config.service import Drill, Harbor, Registry, Restore, Runbook
from drkit.config.sources import Blobs, BucketBlobs, Database, Secrets, Vault
from drkit.config.unattended import Metrics, Notify, Ping, Schedule, StatusPage
from drkit.errors import UsageError


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
    reread: Duration | None = None


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
    ping: Ping = Ping()
    limits: Limits = Limits()
    max_duration: MaxDuration = MaxDuration()
    hooks: tuple[Hook, ...] = Field((), alias="hook")
    metrics: Metrics | None = None
    status: StatusPage = StatusPage()
    runbook: Runbook = Runbook()
    cluster: Cluster = Cluster()

    @property
    def file(self) -> ConfigurationFile | None:
        """Where all of this stands, if it stands anywhere."""
        return self._file

    def read_from(self, file: ConfigurationFile) -> Config:
        """The same, knowing where it stands."""
        self._file = file
        return self

    def at(self, name: str | None) -> Config:
        """The same for whoever reads from that repository: [vault] is the one where its points' blobs are.

        Raises UsageError for an unknown name.
        """
        own = self.repository(name).vault
        return self.model_copy(update={"vault": own}) if own else self

    def alone(self, name: str) -> Config:
        """The same as if that repository, with its vault, were the only one; raises as `at`."""
        return self.at(name).model_copy(update={"repositories": (self.repository(name),)})

    @property
    def with_vaults(self) -> tuple[Repository, ...]:
        """The further repositories whose points' blobs are copied to a vault of their own."""
        return tuple(repository for repository in self.repositories if repository.vault)

    @property
    def primary(self) -> Repository:
        """The first repository: backups go there."""
        return self.repositories[0]

    @property
    def publishes(self) -> bool:
        """Whether it names anything that a look at the site is written to."""
        return bool(self.metrics or self.status.page or self.status.listen)

    @property
    def sandboxes(self) -> Path:
        """The directory below which drills build their sandboxes."""
        return self.drill.directory or self.site.state / "sandbox"

    def unlimited(self) -> Config:
        """The same without limits of bandwidth: for what somebody waits for while the registry is down."""
        none = {"upload_limit": None, "download_limit": None}
        repositories = tuple(each.model_copy(update=none) for each in self.repositories)
        changed: dict[str, object] = {"repositories": repositories}
        if self.vault:
            changed["vault"] = self.vault.model_copy(update=none)
        if isinstance(self.blobs, BucketBlobs):
            changed["blobs"] = self.blobs.model_copy(update={"download_limit": None})
        return self.model_copy(update=changed)

    def over(self, address: str | None) -> Config:
        """The same, spread over the cluster at that address; over none where it is `local`.

        Raises UsageError for anything else.
        """
        if address is None:
            return self
        try:
            scheduler = None if address == "local" else cluster_address(address)
        except ValueError as error:
            raise UsageError(
                f'"{address}" is no address of a cluster: {error}', hint="or `--cluster local`"
            ) from None
        return self.model_copy(update={"cluster": self.cluster.model_copy(update={"scheduler": scheduler})})

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
