"""Accounts in files, and what is sent to whom."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from drkit.errors import ConfigError, ToolFailed
from drkit.tools.registry_http.login import Account, Login, read_account

CHALLENGE = 'Bearer realm="https://auth.example.test/token",service="r",scope="repository:a/b:pull"'


def account_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    file = tmp_path / "credentials"
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    "text",
    [
        "robot$a+ci:pass:word\n",
        "# the robot\nrobot$a+ci:pass:word",
        "USERNAME=robot$a+ci\nPASSWORD=pass:word\n",
        "export PASSWORD='pass:word'\nUSERNAME=\"robot$a+ci\"\n",
    ],
)
def test_an_account(tmp_path: Path, text: str) -> None:
    assert read_account(account_file(tmp_path, text)) == Account("robot$a+ci", "pass:word")


@pytest.mark.parametrize(
    "text", ["", "user", ":password", "user:", "a:b\nc:d", "USERNAME=a\n", "USERNAME=a\nX=b"]
)
def test_a_file_that_names_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="names no user and password"):
        read_account(account_file(tmp_path, text))


def test_a_file_that_others_may_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="others may read"):
        read_account(account_file(tmp_path, "a:b", 0o640))
    with pytest.raises(ConfigError, match="cannot read"):
        read_account(tmp_path / "none")


class Service:
    """A token service that answers as it is told."""

    def __init__(self, status: int = 200, answer: Any = None) -> None:
        self.asked: list[tuple[str, Mapping[str, str | list[str]], Mapping[str, str]]] = []
        self.status = status
        self.given = answer

    def __call__(
        self, realm: str, query: Mapping[str, str | list[str]], headers: Mapping[str, str]
    ) -> tuple[int, Any]:
        self.asked.append((realm, query, headers))
        number = len(self.asked)
        return self.status, self.given or {"token": f"token {number}", "expires_in": 300}


def test_nothing_is_sent_before_somebody_asks() -> None:
    assert Login(Account("a", "b"), Service(), secure=True).header("repository:a/b:pull") is None


def test_a_token_for_each_scope_until_it_ends() -> None:
    service = Service()
    login = Login(Account("a", "b"), service, secure=True)
    assert login.refused(CHALLENGE, None, "one")
    assert [login.header(scope) for scope in ("one", "two", "one")] == [
        "Bearer token 1", "Bearer token 2", "Bearer token 1",
    ]  # fmt: skip
    assert service.asked[0][1] == {"service": "r", "scope": ["one"]}
    assert service.asked[0][2] == {"Authorization": Account("a", "b").basic}
    # Another thread has a new one already: that is used, and none asked for.
    assert login.refused(CHALLENGE, "Bearer token 0", "one")
    assert login.header("one") == "Bearer token 1"
    assert login.refused(CHALLENGE, "Bearer token 1", "one")
    assert login.header("one") == "Bearer token 3"


def test_one_is_asked_for_again_before_it_ends() -> None:
    now = 1000.0
    service = Service(answer={"access_token": "t", "expires_in": 60})
    login = Login(None, service, secure=True, clock=lambda: now)
    assert login.refused(CHALLENGE, None, "one")
    assert login.header("one") == "Bearer t"
    assert service.asked[0][2] == {}
    now += 44
    login.header("one")
    assert len(service.asked) == 1
    now += 2
    login.header("one")
    assert len(service.asked) == 2


def test_basic_authentication_is_tried_once() -> None:
    login = Login(Account("a", "b"), Service(), secure=True)
    assert login.refused('Basic realm="x"', None, "one")
    assert login.header("one") == "Basic YTpi"
    assert not login.refused('Basic realm="x"', "Basic YTpi", "one")
    assert not Login(None, Service(), secure=True).refused('Basic realm="x"', None, "one")


@pytest.mark.parametrize("realm", ["http://auth.example.test/token", "", "file:///etc/passwd"])
def test_a_password_does_not_go_in_the_clear(realm: str) -> None:
    login = Login(Account("a", "b"), Service(), secure=True)
    login.refused(f'Bearer realm="{realm}"', None, "one")
    with pytest.raises(ToolFailed, match="not to be trusted"):
        login.header("one")


@pytest.mark.parametrize(("status", "answer", "kind"), [(401, {}, ConfigError), (200, [1], ToolFailed)])
def test_a_service_that_gives_none(status: int, answer: Any, kind: type[Exception]) -> None:
    login = Login(Account("joe", "b"), Service(status, answer), secure=True)
    login.refused(CHALLENGE, None, "one")
    with pytest.raises(kind):
        login.header("one")
