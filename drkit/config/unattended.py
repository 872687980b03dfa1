"""What runs by itself, and who hears of it: `[schedule]`, `[notify]`, `[ping]`, `[metrics]`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from drkit.config.fields import AbsolutePath, CronExpression, Duration, MailAddress
from drkit.config.section import Section


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
    verify: AbsolutePath | None = None
    status: AbsolutePath | None = None

    @property
    def files(self) -> dict[str, Path]:
        """Verb -> file, for those that have one."""
        return {verb: path for verb, path in self.model_dump(by_alias=True).items() if path}


class Metrics(Section):
    """`[metrics]`: a file for node_exporter's textfile collector."""

    textfile: AbsolutePath
