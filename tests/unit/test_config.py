"""drkit.toml: what it means, and what every bad input is told; whole sentences."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from drkit.config import Objectives, Retention, find_config, load_config, parse_config, parse_duration
from drkit.errors import ConfigError

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
    with pytest.raises(ConfigError) as caught:
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
SEE_README = "see the README for its type and an example"


@pytest.mark.parametrize("text", ["", "24", "h", "1y", "1.5h", "-1h", "24 hours", "1h and a bit", "1H"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_duration(text)
    assert str(caught.value) == NO_DURATION


# (what is in the file, the error's sentence, its hint)
BAD = [
    # Misspelt and unknown keys
    (
        LEAST + "[retention]\nkeep_dayly = 7",
        'unknown key "keep_dayly" in [retention]',
        'did you mean "keep_daily"?',
    ),
    (
        LEAST + '[[database]]\nnam = "registry"\ndsn = "host=db"',
        'unknown key "nam" in [[database]] number 1',
        'did you mean "name"?',
    ),
    (
        LEAST + REPOSITORY.replace("password_file", "pasword_file"),
        'unknown key "pasword_file" in [[repository]] number 2',
        'did you mean "password_file"?',
    ),
    (
        SITE.replace("site", "sites") + REPOSITORY,
        'unknown key "sites" at the top level',
        'did you mean "site"?',
    ),
    (LEAST + "[databases]", 'unknown key "databases" at the top level', 'did you mean "database"?'),
    (
        LEAST + "[drill]\ncolour = 1",
        'unknown key "colour" in [drill]',
        "known keys are: directory, user",
    ),
    (
        SITE + "[site.sub]\nx = 1\n" + REPOSITORY,
        'unknown key "sub" in [site]',
        "known keys are: name, state, lock_wait",
    ),
    # Missing keys
    (REPOSITORY, '"site" is missing at the top level', "every site needs it; see the README"),
    (SITE, '"repository" is missing at the top level', "every site needs it; see the README"),
    ("repository = []\n" + SITE, '"repository" at the top level is empty', "give at least one"),
    ("[site]\n" + REPOSITORY, '"name" is missing in [site]', "every site needs it; see the README"),
    (
        LEAST + '[[database]]\nname = "registry"',
        '"dsn" is missing in [[database]] number 1',
        "every site needs it; see the README",
    ),
    (LEAST + "[metrics]", '"textfile" is missing in [metrics]', "every site needs it; see the README"),
    # Wrong types
    (
        LEAST + '[retention]\nkeep_daily = "7"',
        '"keep_daily" in [retention] is wrong: input should be a valid integer',
        SEE_README,
    ),
    (
        LEAST + "[retention]\nkeep_daily = true",
        '"keep_daily" in [retention] is wrong: input should be a valid integer',
        SEE_README,
    ),
    (
        LEAST + "[retention]\nkeep_daily = -1",
        '"keep_daily" in [retention] is wrong: input should be greater than or equal to 0',
        SEE_README,
    ),
    (
        LEAST + '[notify]\nurls = "ntfy://alerts"',
        '"urls" in [notify] is wrong: input should be a valid array',
        SEE_README,
    ),
    (
        LEAST + "[notify]\nurls = [1]",
        '"urls" in [notify] is wrong: input should be a valid string',
        SEE_README,
    ),
    ("blobs = 3\n" + LEAST, '"blobs" at the top level is wrong: input should be an object', SEE_README),
    (
        'repository = ["/backup"]\n' + SITE,
        '"repository" at the top level is wrong: input should be an object',
        SEE_README,
    ),
    (
        LEAST + '[blobs]\npath = "/data/registry"\nkind = "tape"',
        "\"kind\" in [blobs] is wrong: input should be 'filesystem'",
        SEE_README,
    ),
    # Values
    (
        LEAST + '[blobs]\npath = "data/registry"',
        '"path" in [blobs] is wrong',
        "the path is absolute: a timer runs in another directory than you",
    ),
    (
        LEAST + '[secrets]\npaths = ["/etc/ssl", "harbor.yml"]',
        '"paths" in [secrets] is wrong',
        "the path is absolute: a timer runs in another directory than you",
    ),
    (LEAST + '[objectives]\nrpo = "soon"', '"rpo" in [objectives] is wrong', NO_DURATION),
    (
        LEAST + '[objectives]\nrpo = "0h"',
        '"rpo" in [objectives] is wrong',
        "a duration is longer than nothing",
    ),
    (
        LEAST + "[objectives]\nrpo = 24",
        '"rpo" in [objectives] is wrong',
        'a duration is a string such as "24h"',
    ),
    (
        LEAST.replace("registry.example.com", "my registry"),
        '"name" in [site] is wrong',
        "a name is made of letters, digits, dots, dashes and underscores",
    ),
    (
        LEAST.replace('"primary"', '"../primary"'),
        '"name" in [[repository]] number 1 is wrong',
        "a name is made of letters, digits, dots, dashes and underscores",
    ),
    (
        LEAST + '[schedule]\nbackup = "0 2 * *"',
        '"backup" in [schedule] is wrong',
        '"0 2 * *" is no cron expression such as "0 2 * * *": it needs 5 fields and has 4',
    ),
    (
        LEAST + '[schedule]\nbackup = ""',
        '"backup" in [schedule] is wrong',
        '"" is no cron expression such as "0 2 * * *": it needs 5 fields and has 0',
    ),
    # The whole
    (LEAST + REPOSITORY, 'two [[repository]] are named "primary"', "give each a name of its own"),
    (
        LEAST + 2 * '[[database]]\nname = "registry"\ndsn = "host=db"\n',
        'two [[database]] are named "registry"',
        "give each a name of its own",
    ),
    (
        LEAST + '[secrets]\npaths = ["/etc/ssl"]',
        "[secrets] names paths but no recipients",
        "give at least one age recipient (age1...), or nobody could open the bundle",
    ),
]


@pytest.mark.parametrize(("text", "sentence", "hint"), BAD, ids=[sentence for _, sentence, _ in BAD])
def test_what_a_bad_file_is_told(text: str, sentence: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "drkit.toml")
    assert caught.value.message.removeprefix("drkit.toml: ") == sentence
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "dsn",
    [
        "host=db password=hunter2",
        "host=db password = 'hunter 2'",
        "host=db sslkey=/k sslpassword=hunter2",
        "postgresql://postgres:hunter2@db/registry",
        "postgresql://db/registry?password=hunter2",
    ],
)
def test_a_password_in_a_connection_string(dsn: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f'{LEAST}[[database]]\nname = "registry"\ndsn = "{dsn}"', "drkit.toml")
    assert caught.value.message == 'drkit.toml: "dsn" in [[database]] number 1 is wrong'
    assert caught.value.hint == "the password stands in a file of its own, named by password_file"
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize("dsn", ["host=db user=postgres", "postgresql://postgres@db:5432/registry", ""])
def test_connection_strings_without_one(dsn: str) -> None:
    config = parse_config(f'{LEAST}[[database]]\nname = "registry"\ndsn = "{dsn}"', "drkit.toml")
    assert config.databases[0].dsn == dsn


@pytest.mark.parametrize(
    "url", ["rest:https://me:hunter2@backup.example.com/", "s3:https://KEY:hunter2@s3.example.com/bucket"]
)
def test_credentials_in_an_address(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(LEAST.replace("/backup/drkit", url), "drkit.toml")
    assert caught.value.message == 'drkit.toml: "url" in [[repository]] number 1 is wrong'
    assert caught.value.hint == (
        "the credentials stand in a file of KEY=value lines, named by credentials_file"
    )
    assert "hunter2" not in repr(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "sftp:backup@host.example.com:/srv/drkit",
        "sftp://backup@host.example.com:2222//srv/drkit",
        "rest:https://backup.example.com:8000/",
        "rclone:remote:bucket",
    ],
)
def test_addresses_without_any(url: str) -> None:
    assert parse_config(LEAST.replace("/backup/drkit", url), "drkit.toml").primary.url == url


def test_what_is_not_toml() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config("[site]\nname = registry", "drkit.toml")
    assert caught.value.message == "drkit.toml is not TOML: Invalid value (at line 2, column 8)"
    assert caught.value.hint == "strings stand in double quotes"


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "drkit.toml"
    path.write_text(FULL)
    assert load_config(path) == parse_config(FULL, "drkit.toml")


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
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.message.startswith(f"cannot read {path}: 'utf-8' codec can't decode")
    assert caught.value.hint == "it is a UTF-8 text file that drkit's user may read"


def test_which_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRKIT_CONFIG", raising=False)
    assert find_config(None) == Path("/etc/drkit/drkit.toml")
    monkeypatch.setenv("DRKIT_CONFIG", "/srv/drkit.toml")
    assert find_config(None) == Path("/srv/drkit.toml")
    assert find_config(Path("here.toml")) == Path("here.toml")
    monkeypatch.setenv("DRKIT_CONFIG", "")
    assert find_config(None) == Path("/etc/drkit/drkit.toml")
