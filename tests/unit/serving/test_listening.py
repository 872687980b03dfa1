"""Where a registry listens, and who may ask it."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit.errors import ConfigError, UsageError
from drkit.serving import listening
from drkit.serving.listening import Address


@pytest.mark.parametrize(
    ("text", "host", "port", "local"),
    [
        ("127.0.0.1:5000", "127.0.0.1", 5000, True),
        ("127.0.0.2", "127.0.0.2", 5000, True),
        ("localhost:80", "localhost", 80, True),
        ("[::1]:443", "::1", 443, True),
        ("[::]", "::", 5000, False),
        (":443", "0.0.0.0", 443, False),
        ("192.0.2.1:0", "192.0.2.1", 0, False),
    ],
)
def test_addresses(text: str, host: str, port: int, local: bool) -> None:
    found = listening.parse(text)
    assert (found, found.local) == (Address(host, port), local)


@pytest.mark.parametrize(
    "text", ["registry.example.com:5000", "127.0.0.1:x", "127.0.0.1:65536", "", "1.2.3:4:5"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="is no address to listen on"):
        listening.parse(text)


def test_who_must_know_a_password(tmp_path: Path) -> None:
    here, elsewhere = Address("127.0.0.1", 1), Address("192.0.2.1", 1)
    file = tmp_path / "password"
    file.write_text("pass word\n")
    assert listening.password(here, None, anonymous=False) == (None, False)
    assert listening.password(here, file, anonymous=False) == ("pass word", False)
    assert listening.password(elsewhere, None, anonymous=True) == (None, False)
    first, second = (listening.password(elsewhere, None, anonymous=False) for _ in range(2))
    assert first[1]
    assert first[0]
    assert len(first[0]) > 20
    assert first != second


def test_a_password_file_that_is_of_no_use(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    address = Address("192.0.2.1", 1)
    with pytest.raises(ConfigError, match="is empty"):
        listening.password(address, empty, anonymous=False)
    with pytest.raises(ConfigError, match="cannot read the password file"):
        listening.password(address, tmp_path / "none", anonymous=False)
    with pytest.raises(UsageError, match="--anonymous needs no --password-file"):
        listening.password(address, empty, anonymous=True)
