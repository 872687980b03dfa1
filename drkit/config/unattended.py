"""What runs by itself, and who hears of it: `[schedule]`, `[notify]`, `[ping]`, `[metrics]`, `[status]`."""

from __future__ import annotations

from datetime import timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field

from drkit.config.fields import (
    AbsolutePath,
    CronExpression,
    Duration,
    Listen,
    ListenAddress,
    MailAddress,
    TimeZone,
    listening,
)
from drkit.config.section import Section
from drkit.model.clock_changes import local_zone
from drkit.model.job import JOBS, delay


class Schedule(Section):
    """`[schedule]`: cron expressions, in a time zone; the machine's own, where none is named.

    Every job is put off by up to `jitter`, always by the same: machines that share a server come one by one.
    `verify_for` is how long a verify reads what was not read for longest; without it it reads no data.
    """

    backup: CronExpression | None = None
    copy_: CronExpression | None = Field(None, alias="copy")
    verify: CronExpression | None = None
    drill: CronExpression | None = None
    drill_quick: CronExpression | None = None
    expire: CronExpression | None = None
    runbook: CronExpression | None = None
    verify_for: Duration | None = None
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
    """`[notify]`: who is told what is wrong, and when it is right again.

    `critical_urls_file` is for those who are told only of what makes a site red, as a pager.
    """

    urls: tuple[str, ...] = ()
    urls_file: AbsolutePath | None = None
    critical_urls_file: AbsolutePath | None = None
    mail: tuple[MailAddress, ...] = ()
    webhook_file: AbsolutePath | None = None
    remind: Duration = timedelta(hours=24)


class Ping(Section):
    """`[ping]`: for each verb a file with the address that is asked for when it starts and ends.

    `status` is told after each look at the site whether it is green.
    """

    backup: AbsolutePath | None = None
    copy_: AbsolutePath | None = Field(None, alias="copy")
    drill: AbsolutePath | None = None
    expire: AbsolutePath | None = None
    runbook: AbsolutePath | None = None
    verify: AbsolutePath | None = None
    status: AbsolutePath | None = None

    @property
    def files(self) -> dict[str, Path]:
        """Verb -> file, for those that have one."""
        return {verb: path for verb, path in self.model_dump(by_alias=True).items() if path}


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
