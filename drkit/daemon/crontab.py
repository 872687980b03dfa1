"""The schedule as lines for cron: text made from values."""

from __future__ import annotations

import shlex
from pathlib import Path

from drkit import config
from drkit.model import cron
from drkit.model.job import words

_HEAD = """\
# drkit's schedule. Where drkit fails, cron mails what it said to MAILTO.
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""
_ZONE = """\
# cronie alone knows this; any other cron goes by the machine's time zone.
CRON_TZ={zone}
"""


def lines(settings: config.Config, program: Path, config_path: Path, *, user: str | None = None) -> str:
    """A crontab; for a file in /etc/cron.d, where each line names the `user`, or for `crontab -e`.

    Raises ConfigError for a bad cron expression.
    """
    schedule = settings.schedule
    head = _HEAD + (_ZONE.format(zone=schedule.timezone) if schedule.timezone else "")
    found = []
    for job, expression in schedule.jobs.items():
        cron.read(job, expression)
        several = len(settings.repositories) > 1
        verb = words(job, several=several, verify_for=schedule.verify_for)
        command = shlex.join((str(program), "--quiet", "--config", str(config_path), *verb))
        put_off = int(schedule.delay(settings.site.name, job).total_seconds())
        wait = f"sleep {put_off}; " if put_off else ""
        # In a crontab a bare percent sign ends the command.
        found.append(
            " ".join([*expression.split(), *([user] if user else []), wait + command.replace("%", "\\%")])
        )
    return head + "".join(line + "\n" for line in found)


def file_name(site: str) -> str:
    """Its name in /etc/cron.d, where cron passes over names with dots in them."""
    return f"drkit-{site.replace('.', '_')}"
