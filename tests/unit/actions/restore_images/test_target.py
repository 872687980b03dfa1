"""Where images go when nobody, or somebody, says so; and whose password is sent there."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit.actions.restore_images import target
from drkit.config import Config, parse_config
from drkit.errors import ConfigError, UsageError
from tests.unit.config.test_config import REPOSITORY, SITE


def settings(more: str = "") -> Config:
    return parse_config(f"{SITE}\n{REPOSITORY}\n{more}", "drkit.toml")


def secret(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_the_own_registry_with_its_account(tmp_path: Path) -> None:
    file = secret(tmp_path / "account", "robot:token")
    config = settings(
        f'[registry]\nurl = "https://r.example.test/"\ncredentials_file = "{file}"\nca_file = "/ca"'
    )
    for to in (None, "r.example.test", "https://R.example.test", "https://r.example.test:443"):
        found = target.find(config, to, None, None)
        assert found.address is not None
        assert (found.account and found.account.user, found.address.ca_file) == ("robot", Path("/ca"))
    # No other registry is shown the password, and this one not in the clear.
    for to in ("https://other.example.test", "http://r.example.test", "https://r.example.test:8443"):
        other = target.find(config, to, None, None)
        assert (other.account, other.where) == (None, to)


def test_harbor_as_its_api_is_asked(tmp_path: Path) -> None:
    file = secret(tmp_path / "password", "word\n")
    config = settings(
        f'[harbor]\nurl = "https://h.example.test"\nuser = "admin"\npassword_file = "{file}"\nca_file = "/ca"'
    )
    found = target.find(config, None, None, None)
    assert found.account is not None
    assert (found.where, found.account.user, found.account.password) == (
        "https://h.example.test", "admin", "word",
    )  # fmt: skip


def test_the_address_in_harbor_yml(tmp_path: Path) -> None:
    (tmp_path / "harbor.yml").write_text(
        "hostname: h.example.test\nhttps: {certificate: /a, private_key: /b}\n"
    )
    config = settings(f'[secrets]\npaths = ["{tmp_path}/harbor.yml"]\nrecipients = ["age1x"]')
    assert target.find(config, None, None, None).where == "https://h.example.test"


def test_nobody_says() -> None:
    with pytest.raises(ConfigError, match="nobody says where the registry is"):
        target.find(settings(), None, None, None)


def test_a_layout(tmp_path: Path) -> None:
    assert target.find(settings(), f"oci:{tmp_path}", None, None).layout == tmp_path
    with pytest.raises(UsageError):
        target.find(settings(), "oci:x", tmp_path, None)


@pytest.mark.parametrize("to", ["", "ftp://a", "https://a/b", "https://user:x@a", "https://a?b"])
def test_what_is_no_address(to: str) -> None:
    with pytest.raises(UsageError):
        target.find(settings(), to, None, None)
