"""`[harbor]`: all of the API or nothing of it, and never a password."""

from __future__ import annotations

from datetime import timedelta

import pytest

from drkit.config import parse_config
from drkit.errors import ConfigError

_BASE = """
[site]
name = "registry"

[[repository]]
name = "primary"
url = "/backup"
password_file = "/etc/drkit/restic.password"
"""
_API = 'url = "https://registry.example.com"\nuser = "admin"\npassword_file = "/etc/drkit/harbor.password"\n'


def test_without_it_nobody_waits() -> None:
    assert parse_config(_BASE, "drkit.toml").harbor is None


def test_waiting_needs_no_api() -> None:
    found = parse_config(_BASE + "[harbor]\n", "drkit.toml").harbor
    assert found is not None
    assert (found.wait_for_collection, found.read_only, found.url) == (timedelta(minutes=30), False, None)


def test_the_whole_section() -> None:
    more = 'ca_file = "/etc/ssl/ca.crt"\nwait_for_collection = "1h"\nread_only = true\n'
    found = parse_config(f"{_BASE}[harbor]\n{_API}{more}", "drkit.toml").harbor
    assert found is not None
    assert (found.wait_for_collection, found.read_only) == (timedelta(hours=1), True)


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        ("read_only = true", "url and no user and no password_file"),
        ('ca_file = "/ca.crt"', "url and no user and no password_file"),
        ('url = "https://registry"', "user and no password_file"),
        ('user = "admin"\npassword_file = "/p"', "url"),
    ],
)
def test_half_an_api_is_an_error(lines: str, missing: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(f"{_BASE}[harbor]\n{lines}\n", "drkit.toml")
    assert caught.value.message == f"drkit.toml: [harbor] has no {missing}"


@pytest.mark.parametrize("url", ["registry", "ftp://registry", "https://admin:secret@registry", "https://"])
def test_what_is_no_address(url: str) -> None:
    lines = _API.replace("https://registry.example.com", url)
    with pytest.raises(ConfigError) as caught:
        parse_config(f"{_BASE}[harbor]\n{lines}", "drkit.toml")
    assert caught.value.message == 'drkit.toml: "url" in [harbor] is wrong'
    assert "secret" not in caught.value.message + caught.value.hint
