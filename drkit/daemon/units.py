"""The schedule as systemd units: text made from values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from drkit import config
from drkit.config.fields import Listen
from drkit.daemon.confinement import confined
from drkit.model import cron
from drkit.model.job import words

_SERVICE = """\
[Unit]
Description=drkit {what} of {site}
# Where one of these is not on this machine, waiting for it costs nothing.
After=network-online.target docker.service postgresql.service
Wants=network-online.target
{after}
[Service]
Type=oneshot
ExecStart={command}
# Where it stands whom to tell if the configuration is gone.
Environment={state}
# The last resort: what moves nothing is ended by drkit long before.
TimeoutStartSec=3d
{common}"""

_RUN = Path("/run")

_DAEMON = """\
[Unit]
Description=drkit scheduler of {site}
After=network-online.target docker.service postgresql.service
Wants=network-online.target
# A disk that is full, say, does not stay so: it is tried for ever.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=30s
WatchdogSec=2min
# At its first start it may have to look at every repository.
TimeoutStartSec=10min
{runtime}{common}
[Install]
WantedBy=multi-user.target
"""

_COMMON = """\
# drkit is told to stop, and ends its own tools in order; only then are leftovers killed.
KillMode=mixed
TimeoutStopSec=2min
# Production goes first.
Nice=10
CPUWeight=30
IOSchedulingClass=best-effort
IOSchedulingPriority=7
IOWeight=30
# What it may do on this machine.
{confined}"""

_TIMER = """\
[Unit]
Description=drkit {what} of {site}, on schedule

[Timer]
{calendars}
# A run that fell into a time when the machine was off is made up for.
Persistent=true
{jitter}
[Install]
WantedBy=timers.target
"""


def timers(settings: config.Config, program: Path, config_path: Path) -> dict[str, str]:
    """File name -> text: a service and a timer for each job on the schedule.

    Both paths are absolute. Raises ConfigError for a bad cron expression.
    """
    schedule, site = settings.schedule, settings.site.name
    units: dict[str, str] = {}
    before: list[str] = []
    for job, expression in schedule.jobs.items():
        calendars = on_calendar(cron.read(job, expression), schedule.timezone)
        name = name_of(site, job)
        several = len(settings.repositories) > 1
        units[f"{name}.service"] = _SERVICE.format(
            what=job.replace("_", " "),
            site=site,
            after=_after(before),
            command=_command(
                program, config_path, words(job, several=several, verify_for=schedule.verify_for)
            ),
            state=_word(f"DRKIT_STATE={settings.site.state}"),
            common=_COMMON.format(confined=confined(settings)),
        )
        units[f"{name}.timer"] = _TIMER.format(
            what=job.replace("_", " "),
            site=site,
            calendars="\n".join(f"OnCalendar={calendar}" for calendar in calendars),
            jitter=_jitter(schedule),
        )
        before.append(f"{name}.service")
    return units


def daemon(settings: config.Config, program: Path, config_path: Path) -> dict[str, str]:
    """The unit of drkit's own scheduler."""
    site = settings.site.name
    text = _DAEMON.format(
        site=site,
        command=_command(program, config_path, ("scheduler",)),
        runtime=_runtime(settings.status.listening),
        common=_COMMON.format(confined=confined(settings)),
    )
    return {f"drkit-{site}.service": text}


def _runtime(listen: Listen | None) -> str:
    """The directory of a socket below /run, which is empty after each start of the machine."""
    if not isinstance(listen, Path) or _RUN not in listen.parent.parents:
        return ""
    # Another site's socket may stand in it.
    name = _word(str(listen.parent.relative_to(_RUN)))
    return f"RuntimeDirectory={name}\nRuntimeDirectoryPreserve=yes\n"


def name_of(site: str, job: str) -> str:
    """The name of a job's units, without their suffix."""
    return f"drkit-{site}-{job.replace('_', '-')}"


def _after(services: list[str]) -> str:
    """Of several that are due at once, after an outage say, one runs after the other."""
    if not services:
        return ""
    return "# One after the other, the most important first.\n" + f"After={' '.join(services)}\n"


def _jitter(schedule: config.Schedule) -> str:
    if not schedule.jitter:
        return ""
    seconds = int(schedule.jitter.total_seconds())
    return (
        f"# Always the same for this machine and job.\nRandomizedDelaySec={seconds}s\nFixedRandomDelay=yes\n"
    )


def _command(program: Path, config_path: Path, verb_words: tuple[str, ...]) -> str:
    # The first word is a path, in which systemd looks for no variables.
    after = (word.replace("$", "$$") for word in ("--config", str(config_path), *verb_words))
    return " ".join(_word(each) for each in (str(program), *after))


def _word(word: str) -> str:
    """One word of an ExecStart line (systemd.service(5)): no specifier is meant, no space splits it."""
    word = word.replace("%", "%%")
    if any(char in word for char in " \t\"'\\;"):
        escaped = word.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return word


def on_calendar(expression: cron.Cron, zone: str | None = None) -> tuple[str, ...]:
    """systemd's calendar expressions (systemd.time(7)) for a cron expression; any of them is meant.

    systemd wants both the date and the day of the week to fit, where cron wants either: hence sometimes two.
    """
    months = _numbers(expression.months, 12)
    date = f"*-{months}-{_numbers(expression.days, 31)}"
    time = f"{_numbers(expression.hours, 24)}:{_numbers(expression.minutes, 60)}:00"
    time += f" {zone}" if zone else ""
    weekdays = _weekdays(expression.weekdays)
    if expression.either_day:
        return f"{date} {time}", f"{weekdays}*-{months}-* {time}"
    return (f"{weekdays}{date} {time}",)


def _numbers(values: tuple[int, ...], all_of_them: int) -> str:
    return "*" if len(values) == all_of_them else ",".join(f"{value:02d}" for value in values)


def _weekdays(days: tuple[int, ...]) -> str:
    return "" if len(days) == 7 else ",".join(cron.WEEKDAYS[day].title() for day in days) + " "


def to_enable(units: Mapping[str, str]) -> tuple[str, ...]:
    """Those of the units that are to be enabled."""
    return tuple(name for name, text in units.items() if "[Install]" in text)
