"""The schedule as systemd timers or as cron lines: text made from values, and how units are installed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from drkit.config import Schedule
from drkit.errors import ConfigError
from drkit.files import replace_file
from drkit.model import cron
from drkit.model.job import words as job_words

_SERVICE = """\
[Unit]
Description=drkit {verb}
# Where one of these is not on this machine, waiting for it costs nothing.
After=network-online.target docker.service postgresql.service
Wants=network-online.target

[Service]
Type=oneshot
ExecStart={command}
# drkit is told to stop, and ends its own tools in order; only then are leftovers killed.
KillMode=mixed
TimeoutStopSec=2min
# The last resort: what moves nothing is ended by drkit long before.
TimeoutStartSec=3d
# Dropping from root to another user, as a drill does, needs no new rights. More (PrivateTmp, ProtectSystem)
# would hide sockets and volume snapshots from drkit, or drkit's from you.
NoNewPrivileges=yes
"""

_TIMER = """\
[Unit]
Description=drkit {verb}, on schedule

[Timer]
{calendars}
# A run that fell into a time when the machine was off is made up for.
Persistent=true

[Install]
WantedBy=timers.target
"""

_CRON_HEAD = """\
# drkit's schedule. Where drkit fails, cron mails what it said to MAILTO.
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
"""


def systemd_units(schedule: Schedule, program: Path, config_path: Path) -> dict[str, str]:
    """File name -> text: a service and a timer for each verb that has a schedule.

    Both paths are absolute. Raises ConfigError for a bad cron expression.
    """
    units: dict[str, str] = {}
    for verb, expression in schedule.jobs.items():
        calendars = on_calendar(cron.read(verb, expression))
        words = ("--config", str(config_path), *job_words(verb, several=False))
        # The first word is a path, in which systemd looks for no variables.
        argv = (str(program), *(word.replace("$", "$$") for word in words))
        command = " ".join(_systemd_word(word) for word in argv)
        units[f"drkit-{verb}.service"] = _SERVICE.format(verb=verb, command=command)
        lines = "\n".join(f"OnCalendar={calendar}" for calendar in calendars)
        units[f"drkit-{verb}.timer"] = _TIMER.format(verb=verb, calendars=lines)
    return units


def on_calendar(expression: cron.Cron) -> tuple[str, ...]:
    """systemd's calendar expressions (systemd.time(7)) for a cron expression; any of them is meant.

    systemd wants both the date and the day of the week to fit, where cron wants either: hence sometimes two.
    """
    months = _numbers(expression.months, 12)
    date = f"*-{months}-{_numbers(expression.days, 31)}"
    time = f"{_numbers(expression.hours, 24)}:{_numbers(expression.minutes, 60)}:00"
    weekdays = _weekdays(expression.weekdays)
    if expression.either_day:
        return f"{date} {time}", f"{weekdays}*-{months}-* {time}"
    return (f"{weekdays}{date} {time}",)


def _numbers(values: tuple[int, ...], all_of_them: int) -> str:
    return "*" if len(values) == all_of_them else ",".join(f"{value:02d}" for value in values)


def _weekdays(days: tuple[int, ...]) -> str:
    return "" if len(days) == 7 else ",".join(cron.WEEKDAYS[day].title() for day in days) + " "


def _systemd_word(word: str) -> str:
    """One word of an ExecStart line (systemd.service(5)): no specifier is meant, no space splits it."""
    word = word.replace("%", "%%")
    if any(char in word for char in " \t\"'\\;"):
        escaped = word.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return word


def cron_lines(schedule: Schedule, program: Path, config_path: Path) -> str:
    """A crontab. Raises ConfigError for a bad cron expression."""
    lines = []
    for verb, expression in schedule.jobs.items():
        cron.read(verb, expression)
        # In a crontab a bare percent sign ends the command.
        command = shlex.join((str(program), "--quiet", "--config", str(config_path), verb)).replace(
            "%", "\\%"
        )
        lines.append(" ".join([*expression.split(), command]))
    return _CRON_HEAD + "".join(line + "\n" for line in lines)


def install_units(units: Mapping[str, str], directory: Path) -> tuple[str, ...]:
    """Write the units that are not there, or differ, with mode 0644; returns their names.

    Raises ConfigError where the directory cannot be written.
    """
    changed = []
    try:
        for name, text in units.items():
            path = directory / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                replace_file(path, text, mode=0o644)
                changed.append(name)
    except OSError as error:
        raise ConfigError(
            f"cannot write units to {directory}: {error.strerror}",
            hint="run it as root, or print them with `drkit timers --systemd` and put them there yourself",
        ) from None
    return tuple(changed)
