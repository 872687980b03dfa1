"""Units and cron lines, judged by systemd itself."""

from __future__ import annotations

import stat
import subprocess
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from drkit.config import Schedule
from drkit.daemon.timers import cron_lines, install_units, on_calendar, systemd_units
from drkit.errors import ConfigError
from drkit.model import cron
from tests import needs

PROGRAM = Path("/usr/local/bin/drkit")
CONFIG = Path("/etc/drkit/drkit.toml")
BOTH = Schedule(backup="0 2 * * *", drill="0 5 * * 0")

SERVICE = """\
[Unit]
Description=drkit backup
# Where one of these is not on this machine, waiting for it costs nothing.
After=network-online.target docker.service postgresql.service
Wants=network-online.target

[Service]
Type=oneshot
ExecStart=/usr/local/bin/drkit --config /etc/drkit/drkit.toml backup
# drkit is told to stop, and ends its own tools in order; only then are leftovers killed.
KillMode=mixed
TimeoutStopSec=2min
# The last resort: what moves nothing is ended by drkit long before.
TimeoutStartSec=3d
# Dropping from root to another user, as a drill does, needs no new rights. More (PrivateTmp, ProtectSystem)
# would hide sockets and volume snapshots from drkit, or drkit's from you.
NoNewPrivileges=yes
"""

TIMER = """\
[Unit]
Description=drkit drill, on schedule

[Timer]
OnCalendar=Sun *-*-* 05:00:00
# A run that fell into a time when the machine was off is made up for.
Persistent=true

[Install]
WantedBy=timers.target
"""


def test_units() -> None:
    units = systemd_units(BOTH, PROGRAM, CONFIG)
    assert list(units) == [
        "drkit-backup.service",
        "drkit-backup.timer",
        "drkit-drill.service",
        "drkit-drill.timer",
    ]
    assert units["drkit-backup.service"] == SERVICE
    assert units["drkit-drill.timer"] == TIMER


EXPRESSIONS = {
    "* * * * *": ("*-*-* *:*:00",),
    "0 2 * * *": ("*-*-* 02:00:00",),
    "*/20 9-11 * * *": ("*-*-* 09,10,11:00,20,40:00",),
    "0 5 * * 0": ("Sun *-*-* 05:00:00",),
    "0 5 * * 7": ("Sun *-*-* 05:00:00",),
    "0 5 * * mon-fri": ("Mon,Tue,Wed,Thu,Fri *-*-* 05:00:00",),
    "0 5 1,15 jan,jul *": ("*-01,07-01,15 05:00:00",),
    "0 5 13 * fri": ("*-*-13 05:00:00", "Fri *-*-* 05:00:00"),
    "0 5 13 3 5": ("*-03-13 05:00:00", "Fri *-03-* 05:00:00"),
    "0 5 1 * 0-7": ("*-*-01 05:00:00", "*-*-* 05:00:00"),
    "0 0 */2 * 1": ("Mon *-*-01,03,05,07,09,11,13,15,17,19,21,23,25,27,29,31 00:00:00",),
    "0 0 29 2 *": ("*-02-29 00:00:00",),
}


@pytest.mark.parametrize(("expression", "calendars"), EXPRESSIONS.items())
def test_calendar_expressions(expression: str, calendars: tuple[str, ...]) -> None:
    assert on_calendar(cron.parse(expression)) == calendars


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_systemd_fires_when_cron_does(expression: str) -> None:
    count = 8
    found: set[datetime] = set()
    for calendar in on_calendar(cron.parse(expression)):
        found.update(elapses(calendar, count))
    after = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
    assert tuple(sorted(found))[:count] == tuple(islice(cron.times(expression, after), count))


def elapses(calendar: str, count: int) -> list[datetime]:
    """When systemd would fire, after 2026-11-24 06:00 UTC."""
    program = needs.program("systemd-analyze")
    options = (f"--iterations={count}", "--base-time=2026-11-24 06:00:00 UTC")
    done = subprocess.run(
        [program, "calendar", *options, calendar],
        env={"TZ": "UTC", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    marks = ("Next elapse:", "Iteration #", "Iter. #")
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip().startswith(marks)]
    stamps = [line.partition(": ")[2].strip() for line in lines]
    return [datetime.strptime(stamp, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=UTC) for stamp in stamps]


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = needs.program("systemd-analyze")
    # A program that is there, in a place that needs quoting: systemd looks for it.
    drkit = tmp_path / "100% full" / "drkit"
    drkit.parent.mkdir()
    drkit.write_text("#!/bin/sh\n")
    drkit.chmod(0o755)
    schedule = Schedule(backup="0 2 * * *", drill="0 5 13 * fri")
    install_units(systemd_units(schedule, drkit, tmp_path / "it's a\\b;$HOME.toml"), tmp_path)
    done = subprocess.run(
        [program, "verify", *map(str, sorted(tmp_path.glob("drkit-*")))],
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "drkit" in line]
    assert ours == []


def test_words_that_systemd_would_take_apart() -> None:
    units = systemd_units(
        Schedule(backup="0 2 * * *"), Path("/opt/my tools/drkit"), Path('/etc/$site/50%/a"b\\c')
    )
    line = next(line for line in units["drkit-backup.service"].splitlines() if line.startswith("ExecStart="))
    assert line == 'ExecStart="/opt/my tools/drkit" --config "/etc/$$site/50%%/a\\"b\\\\c" backup'


def test_cron_lines() -> None:
    head = (
        "# drkit's schedule. Where drkit fails, cron mails what it said to MAILTO.\n"
        "SHELL=/bin/sh\n"
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    )
    command = "/usr/local/bin/drkit --quiet --config /etc/drkit/drkit.toml"
    assert cron_lines(BOTH, PROGRAM, CONFIG) == (
        f"{head}0 2 * * * {command} backup\n0 5 * * 0 {command} drill\n"
    )


def test_a_cron_line_is_quoted_for_the_shell_and_for_cron() -> None:
    text = cron_lines(Schedule(backup=" 0  2 * * * "), PROGRAM, Path("/etc/my site/50%.toml"))
    assert text.splitlines()[-1] == (
        "0 2 * * * /usr/local/bin/drkit --quiet --config '/etc/my site/50\\%.toml' backup"
    )


def test_a_bad_expression_is_named() -> None:
    bad = Schedule.model_construct(drill="0 5 * * funday")
    sentence = (
        'the schedule of drill, "0 5 * * funday", is not a cron expression: '
        '"funday" is no day of the week (0-7 or sun-sat)'
    )
    with pytest.raises(ConfigError) as caught:
        systemd_units(bad, PROGRAM, CONFIG)
    assert caught.value.message == sentence
    with pytest.raises(ConfigError) as caught:
        cron_lines(bad, PROGRAM, CONFIG)
    assert caught.value.message == sentence


def test_installing_writes_only_what_differs(tmp_path: Path) -> None:
    units = systemd_units(BOTH, PROGRAM, CONFIG)
    assert install_units(units, tmp_path) == tuple(units)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == units
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o644}
    assert install_units(units, tmp_path) == ()
    (tmp_path / "drkit-drill.timer").write_text("something else")
    assert install_units(units, tmp_path) == ("drkit-drill.timer",)
    assert (tmp_path / "drkit-drill.timer").read_text() == TIMER


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        install_units({"drkit-backup.timer": ""}, tmp_path / "none")
    assert caught.value.message == f"cannot write units to {tmp_path}/none: No such file or directory"
    assert caught.value.hint.startswith("run it as root, or print them")
