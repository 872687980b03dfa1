"""What runs by itself, and who hears of it: `[schedule]`, `[notify]`, `[metrics]`."""

from __future__ import annotations

from pydantic import Field

from drkit.config.fields import AbsolutePath, CronExpression
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
    """`[notify]`: apprise addresses that are told of failures and recoveries, or a file that lists them."""

    urls: tuple[str, ...] = ()
    urls_file: AbsolutePath | None = None


class Metrics(Section):
    """`[metrics]`: a file for node_exporter's textfile collector."""

    textfile: AbsolutePath
