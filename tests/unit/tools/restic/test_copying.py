"""The one restic that has the secrets of two repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit.errors import ConfigError
from drkit.tools.restic import copying
from drkit.tools.restic.access import Access

LOGIN = {"RESTIC_REST_USERNAME": "u", "RESTIC_REST_PASSWORD": "p@ss"}


@pytest.fixture
def password(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("secret")
    return path


def access(url: str, password: Path, **credentials: str) -> Access:
    return Access(url, password, password.parent / "cache", credentials=credentials)


def test_both_are_named_in_the_environment_alone(password: Path) -> None:
    source = access("/backup/a", password)
    target = access("rest:https://offsite.example.com/b", password, **LOGIN)
    command = copying.command_for(source, target, ["aa", "bb"])
    assert command.arguments[-3:] == ("copy", "aa", "bb")
    assert "p@ss" not in " ".join(command.arguments)
    assert command.environment["RESTIC_FROM_REPOSITORY"] == "/backup/a"
    assert command.environment["RESTIC_FROM_PASSWORD_FILE"] == str(password)
    assert command.environment["RESTIC_REPOSITORY"] == "rest:https://u:p%40ss@offsite.example.com/b"
    assert "RESTIC_REST_PASSWORD" not in command.environment, "the other server would get it"
    assert "p@ss" not in command.what


def test_two_servers_have_logins_of_their_own(password: Path) -> None:
    source = access("rest:http://a/", password, RESTIC_REST_USERNAME="one", RESTIC_REST_PASSWORD="1")
    target = access("rest:http://b/x", password, RESTIC_REST_USERNAME="two", RESTIC_REST_PASSWORD="2")
    found = copying.command_for(source, target, ["aa"]).environment
    assert found["RESTIC_FROM_REPOSITORY"] == "rest:http://one:1@a/"
    assert found["RESTIC_REPOSITORY"] == "rest:http://two:2@b/x"


def test_what_restic_takes_once_for_both_may_not_differ(password: Path) -> None:
    source = access("s3:https://a/one", password, AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="x")
    same = access("s3:https://b/two", password, AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="x")
    found = copying.command_for(source, same, ["aa"]).environment
    assert found["AWS_ACCESS_KEY_ID"] == "A"
    other = access("s3:https://b/two", password, AWS_ACCESS_KEY_ID="B", AWS_SECRET_ACCESS_KEY="y")
    with pytest.raises(ConfigError) as caught:
        copying.command_for(source, other, ["aa"])
    assert "need different values of AWS_" in caught.value.message
    assert "rclone:" in caught.value.hint
