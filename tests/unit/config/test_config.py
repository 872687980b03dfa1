"""drkit.toml: what it means, and how it is found."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from drkit.config import Objectives, Retention, find_config, load_config, parse_config
from drkit.config.fields import parse_duration
from drkit.config.kept import keep
from drkit.errors import ConfigError, UsageError

SITE = '[site]\nname = "registry.example.com"\n'
REPOSITORY = """
[[repository]]
name = "primary"
url = "/backup/drkit"
password_file = "/etc/drkit/restic.password"
"""
LEAST = SITE + REPOSITORY

FULL = """
[site]
name = "registry.example.com"
state = "/srv/drkit"
lock_wait = "30s"

[objectives]
rpo = "24h"
rto = "1h30m"
drill = "90d"

[[database]]
name = "registry"
dsn = "host=127.0.0.1 user=postgres dbname=registry"
password_file = "/etc/drkit/database.password"
count_only = ["audit_log", "public.audit_*"]
lock_wait = "45s"

[blobs]
kind = "filesystem"
path = "/data/registry"
volume = "live"

[secrets]
paths = ["/opt/harbor/harbor.yml", "/data/secret"]
recipients = ["age1abc"]
identity_file = "/etc/drkit/drill.agekey"

[[repository]]
name = "primary"
url = "/backup/drkit"
password_file = "/etc/drkit/restic.password"

[[repository]]
name = "away"
url = "s3:https://s3.example.com/bucket"
password_file = "/etc/drkit/away.password"
credentials_file = "/etc/drkit/away.env"
lock_wait = "1m"

[retention]
keep_last = 3
keep_daily = 7

[schedule]
backup = "0 2 * * *"
drill = "0 5 * * sun"

[drill]
directory = "/scratch"
user = "drills"

[notify]
urls = ["ntfys://ntfy.example.com/alerts"]
urls_file = "/etc/drkit/urls"

[metrics]
textfile = "/var/lib/prometheus/node-exporter/drkit.prom"
"""


def test_every_key() -> None:
    config = parse_config(FULL, "drkit.toml")
    assert config.model_dump(exclude_unset=True) == {
        "site": {
            "name": "registry.example.com",
            "state": Path("/srv/drkit"),
            "lock_wait": timedelta(seconds=30),
        },
        "objectives": {
            "rpo": timedelta(days=1),
            "rto": timedelta(minutes=90),
            "drill": timedelta(days=90),
        },
        "databases": (
            {
                "name": "registry",
                "dsn": "host=127.0.0.1 user=postgres dbname=registry",
                "password_file": Path("/etc/drkit/database.password"),
                "count_only": ("audit_log", "public.audit_*"),
                "lock_wait": timedelta(seconds=45),
            },
        ),
        "blobs": {"kind": "filesystem", "path": Path("/data/registry"), "volume": "live"},
        "secrets": {
            "paths": (Path("/opt/harbor/harbor.yml"), Path("/data/secret")),
            "recipients": ("age1abc",),
            "identity_file": Path("/etc/drkit/drill.agekey"),
        },
        "repositories": (
            {
                "name": "primary",
                "url": "/backup/drkit",
                "password_file": Path("/etc/drkit/restic.password"),
            },
            {
                "name": "away",
                "url": "s3:https://s3.example.com/bucket",
                "password_file": Path("/etc/drkit/away.password"),
                "credentials_file": Path("/etc/drkit/away.env"),
                "lock_wait": timedelta(minutes=1),
            },
        ),
        "retention": {"keep_last": 3, "keep_daily": 7},
        "schedule": {"backup": "0 2 * * *", "drill": "0 5 * * sun"},
        "drill": {"directory": Path("/scratch"), "user": "drills"},
        "notify": {
            "urls": ("ntfys://ntfy.example.com/alerts",),
            "urls_file": Path("/etc/drkit/urls"),
        },
        "metrics": {"textfile": Path("/var/lib/prometheus/node-exporter/drkit.prom")},
    }


def test_the_least_that_a_bare_machine_needs() -> None:
    config = parse_config(LEAST, "drkit.toml")
    assert config.site.state == Path("/var/lib/drkit")
    assert config.sandboxes == Path("/var/lib/drkit/sandbox")
    assert (config.databases, config.blobs, config.secrets.paths) == ((), None, ())
    assert config.retention == Retention()
    assert config.schedule.jobs == {}
    assert config.objectives == Objectives(rpo=None, rto=None, drill=None)


def test_repositories_by_name() -> None:
    config = parse_config(FULL, "drkit.toml")
    assert config.primary.name == "primary"
    assert config.repository(None) is config.primary
    assert config.repository("away").url == "s3:https://s3.example.com/bucket"
    with pytest.raises(UsageError) as caught:
        config.repository("none")
    assert caught.value.message == 'there is no repository "none" in the configuration'
    assert caught.value.hint == "there is: primary, away"


def test_jobs() -> None:
    assert parse_config(FULL, "drkit.toml").schedule.jobs == {"backup": "0 2 * * *", "drill": "0 5 * * sun"}


def test_settings_are_frozen() -> None:
    config = parse_config(FULL, "drkit.toml")
    with pytest.raises(ValueError, match="frozen"):
        config.site.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("45s", timedelta(seconds=45)),
        ("30m", timedelta(minutes=30)),
        ("24h", timedelta(days=1)),
        ("90d", timedelta(days=90)),
        ("2w", timedelta(weeks=2)),
        ("1h30m", timedelta(minutes=90)),
        ("1d 12 h", timedelta(hours=36)),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


NO_DURATION = 'a duration looks like "45s", "30m", "24h", "7d" or "2w"'


@pytest.mark.parametrize("text", ["", "24", "h", "1y", "1.5h", "-1h", "24 hours", "1h and a bit", "1H"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_duration(text)
    assert str(caught.value) == NO_DURATION


def test_what_is_not_toml() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("[site]\nname = registry", "drkit.toml")
    assert caught.value.message == "drkit.toml is not TOML: Invalid value (at line 2, column 8)"
    assert caught.value.hint == 'a line is a [section], key = "string" in double quotes, or a # comment'


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "drkit.toml"
    path.write_text(FULL)
    assert load_config(path).model_dump() == parse_config(FULL, "drkit.toml").model_dump()


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "drkit.toml"
    path.write_text(LEAST + "[drill]\nusr = 1")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.message == f'{path}: unknown key "usr" in [drill]'


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "none.toml")
    assert caught.value.message == f"there is no configuration at {tmp_path}/none.toml"
    assert caught.value.hint == "make one with `drkit init`, or name it with --config or DRKIT_CONFIG"


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "drkit.toml"
    path.write_bytes(b"[site]\n\xff\xfe")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.message == f"{path} is not text in UTF-8: see line 2"
    assert caught.value.hint == "correct that line, or name another file"


def test_a_directory_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path)
    assert caught.value.message == f"cannot read {tmp_path}: Is a directory"
    assert caught.value.hint == "name a file that drkit's user may read"


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "drkit.toml"
    path.write_bytes(b"\xef\xbb\xbf" + FULL.encode())
    assert load_config(path).model_dump() == parse_config(FULL, "drkit.toml").model_dump()


def test_which_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRKIT_CONFIG", raising=False)
    assert find_config(None) == Path("/etc/drkit/drkit.toml")
    monkeypatch.setenv("DRKIT_CONFIG", "/srv/drkit.toml")
    assert find_config(None) == Path("/srv/drkit.toml")
    assert find_config(Path("here.toml")) == Path("here.toml")
    monkeypatch.setenv("DRKIT_CONFIG", "")
    assert find_config(None) == Path("/etc/drkit/drkit.toml")


def test_a_schedule_in_a_time_zone_with_a_jitter() -> None:
    jobs = '[schedule]\ndrill_quick = "0 5 * * 0"\nbackup = "0 2 * * *"\n'
    text = f'{jobs}timezone = "Asia/Tokyo"\njitter = "10m"\n'
    schedule = parse_config(f"{SITE}{text}{REPOSITORY}", "drkit.toml").schedule
    assert list(schedule.jobs) == ["backup", "drill_quick"], "the most important first"
    assert str(schedule.zone) == "Asia/Tokyo"
    assert timedelta() < schedule.delay("site", "backup") <= timedelta(minutes=10)
    with pytest.raises(ConfigError) as caught:
        parse_config(f"{SITE}{text.replace('Asia/Tokyo', 'Asia/Tokio')}{REPOSITORY}", "drkit.toml")
    assert '"Asia/Tokio" is no time zone' in caught.value.hint


def test_a_copy_that_is_kept_stands_for_the_file(tmp_path: Path) -> None:
    file, copy = tmp_path / "drkit.toml", tmp_path / "state" / "scheduler.toml"
    copy.parent.mkdir()
    file.write_text(f"{SITE}{REPOSITORY}")
    file.chmod(0o640)
    read = load_config(file)
    assert read.file
    keep(read.file, copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert load_config(copy) == read
    assert load_config(copy).file == read.file
