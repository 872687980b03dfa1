"""What runs by itself, and who hears of it: `[schedule]`, `[notify]`, `[metrics]`, `[status]`."""

from __future__ import annotations

from datetime import timedelta, tzinfo
from zoneinfo import ZoneInfo

from pydantic import Field

from drkit.config.fields import (
    AbsolutePath,
    CronExpression,
    Duration,
    Listen,
    ListenAddress,
    TimeZone,
    listening,
)
from drkit.config.section import Section
from drkit.model.clock_changes import local_zone
from drkit.model.job import JOBS, delay


class Schedule(Section):
    """`[schedule]`: cron expressions, in a time zone; the machine's own, where none is named.

    Every job is put off by up to `jitter`, always by the same: machines that share a server come one by one.
    """

    backup: CronExpression | None = None
    copy_: CronExpression | None = Field(None, alias="copy")
    verify: CronExpression | None = None
    drill: CronExpression | None = None
    drill_quick: CronExpression | None = None
    expire: CronExpression | None = None
    runbook: CronExpression | None = None
    timezone: TimeZone | None = None
    jitter: Duration | None = None

    @property
    def jobs(self) -> dict[str, str]:
        """Job -> cron expression, for those that have one; the most important first."""
        given = self.model_dump(by_alias=True)
        return {job: given[job] for job in JOBS if given[job]}

    @property
    def zone(self) -> tzinfo:
        """The zone that the expressions are meant in."""
        return ZoneInfo(self.timezone) if self.timezone else local_zone()

    def delay(self, site: str, job: str) -> timedelta:
        """By how much a site's job is put off."""
        return delay(site, job, self.jitter or timedelta())


class Notify(Section):
    """`[notify]`: apprise addresses that are told of failures and recoveries, or a file that lists them."""

    urls: tuple[str, ...] = ()
    urls_file: AbsolutePath | None = None


class Metrics(Section):
    """`[metrics]`: a file for node_exporter's textfile collector."""

    textfile: AbsolutePath


class StatusPage(Section):
    """`[status]`: a file that runs write the status page to, and where the scheduler serves it."""

    page: AbsolutePath | None = None
    listen: ListenAddress | None = None
    refresh: Duration = timedelta(minutes=15)

    @property
    def listening(self) -> Listen | None:
        """Where to listen: a socket's path, or address and port."""
        return listening(self.listen) if self.listen else None
