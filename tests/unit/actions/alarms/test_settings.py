"""Whom to tell when the configuration is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit import config
from drkit.actions.alarms import settings as alarms
from drkit.errors import ConfigError

GOOD = """
[site]
name = "registry.example.com"
state = "{home}/state"
[[repository]]
name = "primary"
url = "/repository"
password_file = "/password"
[notify]
urls = [
    "json://one",
]
urls_file = "/etc/drkit/urls"
mail = ["root"]
remind = "12h"
[ping]
copy = "/etc/drkit/ping-copy"
[drill]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    path = tmp_path / "drkit.toml"
    path.write_text(GOOD.format(home=tmp_path))
    return path


@pytest.mark.parametrize(
    "broken",
    [
        "[retention]\nkeep_lats = 3\n",
        '[retention]\nkeep_last = "\n',
        "what is this\n",
        '[notify]\nremind = "never"\n',
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_what_is_sound_of_a_broken_one_still_holds(file: Path, broken: str, first: bool) -> None:
    good = alarms.of(config.load_config(file))
    text = file.read_text()
    file.write_text(f"{broken}{text}" if first and "notify" not in broken else f"{text}\n{broken}")
    with pytest.raises(ConfigError):
        config.load_config(file)
    assert alarms.salvaged(file) == good


def test_the_last_good_ones_are_kept(file: Path, tmp_path: Path) -> None:
    settings = config.load_config(file)
    alarms.keep(settings)
    kept = tmp_path / "state" / "alarm_settings.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    before = kept.stat().st_ino
    alarms.keep(settings)
    assert kept.stat().st_ino == before, "nothing is written that stands there already"
    text = file.read_text()
    file.write_text(text.replace("urls = [", "urls = "))
    assert alarms.salvaged(file) == alarms.of(settings)
    file.write_text(text.replace('name = "registry.example.com"', 'nmae = "registry.example.com"'))
    assert alarms.salvaged(file) == alarms.of(settings)


def test_where_nothing_was_kept_the_section_that_is_sound_holds(file: Path) -> None:
    text = file.read_text()
    ping = {"copy": Path("/etc/drkit/ping-copy")}
    file.write_text(text.replace("[ping]", "[ping]\nbackup = 3"))
    found = alarms.salvaged(file)
    assert found is not None
    assert (found.notify.urls, found.ping.files) == (("json://one",), ping)

    # Nor do those that were kept before there was anybody to tell.
    file.write_text(text[: text.index("[notify]")])
    nobody = config.load_config(file)
    assert not alarms.of(nobody).anybody
    alarms.keep(nobody)
    file.write_text(text.replace('mail = ["root"]', 'mail = ["-oQ/tmp/x", "two\\nlines"]\nmial = 3'))
    found = alarms.salvaged(file)
    assert found is not None
    assert (found.notify.urls, found.notify.mail, found.ping.files) == (("json://one",), (), ping)


def test_of_a_file_that_is_gone_a_unit_knows_where_they_are_kept(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config.load_config(file)
    alarms.keep(settings)
    file.unlink()
    assert alarms.salvaged(file) is None
    monkeypatch.setenv("DRKIT_STATE", str(tmp_path / "state"))
    assert alarms.salvaged(file) == alarms.of(settings)
    assert alarms.salvaged(tmp_path / "another.toml") is None


def test_another_sites_people_are_not_told(file: Path, tmp_path: Path) -> None:
    alarms.keep(config.load_config(file))
    other = tmp_path / "other.toml"
    other.write_text(f'[site]\nstate = "{tmp_path}/state"\n')
    assert alarms.salvaged(other) is None


def test_a_file_that_is_gone_and_nothing_kept(tmp_path: Path) -> None:
    assert alarms.salvaged(tmp_path / "none.toml") is None
