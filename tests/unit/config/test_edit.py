"""One list changes in a configuration, and nothing else."""

from __future__ import annotations

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
