"""One list changes in a configuration, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from drkit.config import edit, parse_config
from drkit.errors import ConfigError

SITE = '[site]\nname = "x"\n'
REPOSITORY = '[[repository]]\nname = "p"\nurl = "/r"\npassword_file = "/p"\n'
COMMENTED = f"""# mine
{SITE}
[secrets]   # about secrets
paths = ["/a"]
recipients = [
    "age1one",    # the first
    "age1two operator",
]

{REPOSITORY}"""


def test_comments_and_layout_stay() -> None:
    text = edit.with_recipients(COMMENTED, ["age1one", "age1three offline"])
    assert text == COMMENTED.replace("age1two operator", "age1three offline")


@pytest.mark.parametrize(
    "section",
    [
        "",
        '[secrets]\npaths = ["/a"]\n',
        "[secrets]\nrecipients = []\n",
        '[secrets]\nrecipients = ["age1old"]\n',
    ],
)
def test_however_little_there_was(section: str) -> None:
    wanted = ("age1one", "ssh-ed25519 AAAA root@host")
    text = edit.with_recipients(SITE + section + REPOSITORY, wanted)
    assert parse_config(text, "a test").secrets.recipients == wanted


def test_the_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "drkit.toml"
    path.write_text(COMMENTED)
    path.chmod(0o640)
    edit.write_recipients(path, ["age1one"])
    assert path.stat().st_mode & 0o777 == 0o640
    assert parse_config(path.read_text(), "a test").secrets.recipients == ("age1one",)
    assert [each.name for each in tmp_path.iterdir()] == ["drkit.toml"]


def test_what_would_be_no_configuration_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "drkit.toml"
    path.write_text(COMMENTED)
    with pytest.raises(ConfigError, match=r"\[secrets\] names paths but no recipients"):
        edit.write_recipients(path, [])
    assert path.read_text() == COMMENTED


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write"):
        edit.write_recipients(tmp_path / "none", ["age1one"])


def test_a_further_repository_and_a_job_come_after_those_that_are_there() -> None:
    text = """# mine
[site]
name = "x"

[[repository]]    # the first
name = "primary"
url = "/backup"
password_file = "/p"

[retention]
keep_last = 3

[schedule]
backup = "17 4 * * *"    # early
"""
    entry = {"name": "offsite", "url": "sftp:host:/x", "password_file": "/q", "rpo": "50h"}
    changed = edit.with_job(edit.with_repository(text, entry), "copy", "17 5 * * *")
    found = parse_config(changed, "drkit.toml")
    assert [each.name for each in found.repositories] == ["primary", "offsite"]
    assert found.repositories[1].rpo == timedelta(hours=50)
    assert found.schedule.jobs == {"backup": "17 4 * * *", "copy": "17 5 * * *"}
    assert [line for line in text.splitlines() if line not in changed.splitlines()] == []
    with pytest.raises(ConfigError) as caught:
        parse_config(changed.replace('"offsite"', '"primary"'), "drkit.toml")
    assert "are named" in caught.value.message


def test_what_only_copies_have_is_refused_elsewhere() -> None:
    one = '[site]\nname = "x"\n[[repository]]\nname = "p"\nurl = "/b"\npassword_file = "/p"\n'
    with pytest.raises(ConfigError) as caught:
        parse_config(f'{one}rpo = "1d"\n', "drkit.toml")
    assert caught.value.hint == "that one is rpo in [objectives]"
    with pytest.raises(ConfigError) as caught:
        parse_config(f'{one}[schedule]\ncopy = "0 5 * * *"\n', "drkit.toml")
    assert caught.value.hint == "add a second [[repository]]"
