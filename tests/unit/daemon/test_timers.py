"""The schedule in the words of systemd and of cron, put in place and taken away."""

from __future__ import annotations

import stat
import subprocess
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from drkit.cli import timing
from drkit.cli.run import Options, Run
from drkit.config import Config, parse_config
from drkit.daemon import confinement, crontab, installation, units
from drkit.daemon.installation import Files, Form
from drkit.errors import ConfigError
from drkit.model import cron
from tests import needs
from tests.unit.config.test_config import REPOSITORY, SITE

PROGRAM, CONFIG = Path("/usr/local/bin/drkit"), Path("/etc/drkit/drkit.toml")
SCHEDULE = '[schedule]\nbackup = "0 2 * * *"\ndrill_quick = "0 5 * * 0"\n'
ANOTHER = REPOSITORY.replace('name = "primary"', 'name = "offsite"')


def site(schedule: str = SCHEDULE, more: str = "") -> Config:
    return parse_config(f"{SITE}{schedule}{more}{REPOSITORY}", "drkit.toml")


NAME = f"drkit-{site().site.name}"


def value(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


def test_units() -> None:
    found = units.timers(site(), PROGRAM, CONFIG)
    assert list(found) == [
        f"{NAME}-backup.service",
        f"{NAME}-backup.timer",
        f"{NAME}-drill-quick.service",
        f"{NAME}-drill-quick.timer",
    ]
    timer = found[f"{NAME}-drill-quick.timer"]
    assert value(timer, "OnCalendar") == ["Sun *-*-* 05:00:00"]
    assert value(timer, "Persistent") == ["true"]
    assert value(timer, "RandomizedDelaySec") == []
    service = found[f"{NAME}-drill-quick.service"]
    assert value(service, "ExecStart") == [f"{PROGRAM} --config {CONFIG} drill --level quick"]
    assert value(service, "Environment") == [f"DRKIT_STATE={site().site.state}"]
    assert value(service, "After")[-1] == f"{NAME}-backup.service", "one after the other, after an outage"
    assert value(found[f"{NAME}-backup.service"], "After") == value(service, "After")[:1]
    assert units.to_enable(found) == (f"{NAME}-backup.timer", f"{NAME}-drill-quick.timer")


def test_units_with_a_time_zone_a_jitter_and_two_repositories() -> None:
    more = f'timezone = "Europe/Berlin"\njitter = "10m"\n{ANOTHER}'
    found = units.timers(site(more=more), PROGRAM, CONFIG)
    timer = found[f"{NAME}-backup.timer"]
    assert value(timer, "OnCalendar") == ["*-*-* 02:00:00 Europe/Berlin"]
    assert (value(timer, "RandomizedDelaySec"), value(timer, "FixedRandomDelay")) == (["600s"], ["yes"])
    (command,) = value(found[f"{NAME}-drill-quick.service"], "ExecStart")
    assert command.endswith("drill --level quick --in-turn")


def test_the_daemon() -> None:
    ((name, text),) = units.daemon(site(), PROGRAM, CONFIG).items()
    assert name == f"{NAME}.service"
    assert value(text, "ExecStart") == [f"{PROGRAM} --config {CONFIG} scheduler"]
    assert (value(text, "Type"), value(text, "WatchdogSec")) == (["notify"], ["2min"])
    assert value(text, "ExecReload") == ["/bin/kill -HUP $MAINPID"]
    assert units.to_enable({name: text}) == (name,)
    assert value(text, "RuntimeDirectory") == []
    served = site(more='[status]\nlisten = "unix:/run/drkit/site/s.sock"\n')
    (text,) = units.daemon(served, PROGRAM, CONFIG).values()
    assert value(text, "RuntimeDirectory") == ["drkit/site"]
    assert value(text, "RuntimeDirectoryPreserve") == ["yes"]
    assert "-/run/drkit/site" in value(text, "ReadWritePaths")


def test_where_it_may_write_follows_from_the_configuration() -> None:
    more = (
        '[blobs]\nkind = "filesystem"\npath = "/data/my registry"\nvolume = "reflink"\n'
        '[metrics]\ntextfile = "/var/lib/node/drkit.prom"\n[drill]\ndirectory = "/srv/sandbox"\n'
        '[runbook]\ndirectory = "/srv/50%"\n[status]\npage = "/var/www/drkit/status.html"\n'
        '[notify]\nmail = ["root"]\n'
    )
    settings = site(more=more)
    text = confinement.confined(settings)
    state, repository = settings.site.state, settings.primary.url
    expected = {f"-{state}", f"-{repository}", "-/data", "-/var/lib/node", "-/srv/sandbox", "-/srv/50%%"}
    expected |= {"-/var/www/drkit", "-/var/spool", "-/var/log/exim4"}
    assert set(value(text, "ReadWritePaths")) == expected
    assert value(text, "PrivateTmp") == ["yes"]
    assert value(
        confinement.confined(site(more='[[database]]\nname = "r"\ndsn = "host=/tmp"\n')), "PrivateTmp"
    ) == ["no"]
    assert "block-*" not in confinement.confined(
        site(more='[blobs]\nkind = "filesystem"\npath = "/d"\nvolume = "live"\n')
    )
    assert "block-*" in text


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
    assert units.on_calendar(cron.parse(expression)) == calendars


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_systemd_fires_when_cron_does(expression: str) -> None:
    count = 8
    found: set[datetime] = set()
    for calendar in units.on_calendar(cron.parse(expression)):
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


def test_systemd_takes_the_units_and_finds_them_confined(tmp_path: Path) -> None:
    program = needs.program("systemd-analyze")
    # A program that is there, in a place that needs quoting: systemd looks for it.
    drkit = tmp_path / "100% full" / "drkit"
    drkit.parent.mkdir()
    drkit.write_text("#!/bin/sh\n")
    drkit.chmod(0o755)
    jobs = '[schedule]\nbackup = "0 2 * * *"\ndrill = "0 5 13 * fri"\n'
    schedule = f'{jobs}timezone = "Europe/Berlin"\njitter = "5m"\n'
    settings = site(schedule, '[blobs]\nkind = "filesystem"\npath = "/data/registry"\n')
    config = tmp_path / "it's a\\b;$HOME.toml"
    for form, texts in (
        ("timers", units.timers(settings, drkit, config)),
        ("daemon", units.daemon(settings, drkit, config)),
    ):
        installation.install(Files(form, "site", texts, "1"), tmp_path)  # type: ignore[arg-type]
    files = sorted(map(str, tmp_path.glob("drkit-*")))
    assert len(files) == 5
    options = {"env": {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}, "capture_output": True, "text": True}
    done = subprocess.run([program, "verify", *files], check=False, **options)  # type: ignore[call-overload]
    assert [line for line in done.stderr.splitlines() if "drkit" in line] == []
    services = [name for name in files if name.endswith(".service")]
    # In tenths: "OK" is what systemd calls less than 5.
    offline = (program, "security", "--offline=true", "--threshold=42", "--no-pager")
    done = subprocess.run([*offline, *services], check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


def test_words_that_systemd_would_take_apart() -> None:
    found = units.timers(site(), Path("/opt/my tools/drkit"), Path('/etc/$site/50%/a"b\\c'))
    (line,) = value(found[f"{NAME}-backup.service"], "ExecStart")
    assert line == '"/opt/my tools/drkit" --config "/etc/$$site/50%%/a\\"b\\\\c" backup'


HEAD = (
    "# drkit's schedule. Where drkit fails, cron mails what it said to MAILTO.\n"
    "SHELL=/bin/sh\n"
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
)


def test_cron_lines() -> None:
    command = "/usr/local/bin/drkit --quiet --config /etc/drkit/drkit.toml"
    assert crontab.lines(site(), PROGRAM, CONFIG) == (
        f"{HEAD}0 2 * * * {command} backup\n0 5 * * 0 {command} drill --level quick\n"
    )
    assert crontab.lines(site(), PROGRAM, CONFIG, user="root").splitlines()[-1] == (
        f"0 5 * * 0 root {command} drill --level quick"
    )


def test_a_verify_that_reads_for_a_while() -> None:
    settings = site('[schedule]\nverify = "0 1 * * *"\nverify_for = "2h"\n')
    command = "drkit --quiet --config /etc/drkit/drkit.toml verify --for 7200s"
    assert crontab.lines(settings, PROGRAM, CONFIG).endswith(f"0 1 * * * /usr/local/bin/{command}\n")
    service = units.timers(settings, PROGRAM, CONFIG)[f"{NAME}-verify.service"]
    assert value(service, "ExecStart") == [f"{PROGRAM} --config {CONFIG} verify --for 7200s"]


def test_cron_lines_with_a_time_zone_and_a_jitter() -> None:
    settings = site(more='timezone = "Asia/Tokyo"\njitter = "10m"\n')
    text = crontab.lines(settings, PROGRAM, CONFIG)
    assert "\nCRON_TZ=Asia/Tokyo\n" in text
    put_off = int(settings.schedule.delay(settings.site.name, "backup").total_seconds())
    assert 0 < put_off <= 600
    assert f"\n0 2 * * * sleep {put_off}; {PROGRAM} --quiet" in text


def test_a_cron_line_is_quoted_for_the_shell_and_for_cron() -> None:
    text = crontab.lines(
        site('[schedule]\nbackup = " 0  2 * * * "\n'), PROGRAM, Path("/etc/my site/50%.toml")
    )
    assert text.splitlines()[-1] == (
        "0 2 * * * /usr/local/bin/drkit --quiet --config '/etc/my site/50\\%.toml' backup"
    )


def test_a_file_of_cron_has_a_name_that_cron_reads() -> None:
    assert crontab.file_name("registry.example.com") == "drkit-registry_example_com"


def files(texts: dict[str, str], form: Form = "timers", whose: str = "site") -> Files:
    return Files(form, whose, texts, installation.fingerprint(texts))


def test_installing_is_idempotent_and_removing_takes_no_more_than_ones_own(tmp_path: Path) -> None:
    first = files({"drkit-site-backup.timer": "a\n", "drkit-site-drill.timer": "b\n"})
    assert installation.install(first, tmp_path) == (tuple(first.texts), ())
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o644}
    assert installation.install(first, tmp_path) == ((), ())
    assert installation.differences(first, installation.find("site", [tmp_path])) == ""
    # As `systemctl enable` does.
    wants = tmp_path / "timers.target.wants"
    wants.mkdir()
    (wants / "drkit-site-drill.timer").symlink_to(tmp_path / "drkit-site-drill.timer")
    other = files({"drkit-site-backup-2.timer": "c\n"}, whose="site-backup")
    installation.install(other, tmp_path)
    (tmp_path / "drkit-site-foreign.timer").write_text("somebody's own\n")

    second = files({"drkit-site-backup.timer": "a2\n"})
    assert installation.differences(second, installation.find("site", [tmp_path])) == (
        "drkit-site-drill.timer is no more on the schedule"
    )
    assert installation.install(second, tmp_path) == (
        ("drkit-site-backup.timer",),
        ("drkit-site-drill.timer",),
    )
    assert list(wants.iterdir()) == []
    assert installation.remove(installation.find("site", [tmp_path])) == ("drkit-site-backup.timer",)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "drkit-site-backup-2.timer",
        "drkit-site-foreign.timer",
        "timers.target.wants",
    ]
    assert installation.find("site", [tmp_path]) == ()


def test_what_is_installed_and_differs_from_the_configuration(tmp_path: Path) -> None:
    first = files({"drkit-site-backup.timer": "a\n", "drkit-site-drill.timer": "b\n"})
    installation.install(first, tmp_path)
    (tmp_path / "drkit-site-drill.timer").unlink()
    assert installation.differences(first, installation.find("site", [tmp_path])) == (
        "drkit-site-drill.timer is missing"
    )
    changed = files({"drkit-site-backup.timer": "a2\n"})
    assert installation.differences(changed, installation.find("site", [tmp_path])) == (
        "drkit-site-backup.timer was made from another configuration"
    )


def test_a_file_of_that_name_that_is_not_drkits_stays(tmp_path: Path) -> None:
    (tmp_path / "drkit-site-backup.timer").write_text("somebody's own\n")
    with pytest.raises(ConfigError, match="is there already, and was not written by drkit"):
        installation.install(files({"drkit-site-backup.timer": "a\n"}), tmp_path)
    assert (tmp_path / "drkit-site-backup.timer").read_text() == "somebody's own\n"


def test_and_then_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "drkit-b.service").write_text("mine")
    with pytest.raises(ConfigError):
        installation.install(files({"drkit-a.service": "x\n", "drkit-b.service": "y\n"}), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["drkit-b.service"]


def test_a_schedule_that_is_kept_twice_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "drkit.toml"
    file.write_text(
        f'[site]\nname = "twice.invalid"\nstate = "{tmp_path}/state"\n[schedule]\nbackup = "0 2 * * *"\n'
        '[[repository]]\nname = "primary"\nurl = "/backup"\npassword_file = "/p"\n'
    )
    run = Run(Options(file, verbose=False))
    for form, times in (("timers", 0), ("timers", 0), ("cron", 1)):
        (tmp_path / form).mkdir(exist_ok=True)
        timing.make_timers(run, form, install=True, remove=False, directory=tmp_path / form)  # type: ignore[arg-type]
        assert (
            caplog.text.count(f"schedule is in {tmp_path}/timers as well: each job would run twice") == times
        )


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        installation.install(files({"drkit-site-backup.timer": ""}), tmp_path / "none")
    assert caught.value.message == f"cannot write to {tmp_path}/none: No such file or directory"
    assert caught.value.hint.startswith("run it as root, or print them")


def test_directories_that_were_named_are_looked_at_later(tmp_path: Path) -> None:
    installation.remember(tmp_path, tmp_path / "units")
    installation.remember(tmp_path, installation.SYSTEMD)
    assert installation.directories(tmp_path) == (installation.SYSTEMD, installation.CRON, tmp_path / "units")
