"""What doctor says of secrets that stand where they do not belong."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit import config
from drkit.actions.doctor import keys


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ntfy://ntfy.example.com/registry", False),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", True),
        ("mailtos://drkit:xyzzy@example.com", True),
    ],
)
def test_an_address_with_a_secret_belongs_in_a_file(tmp_path: Path, address: str, told: bool) -> None:
    password, file = tmp_path / "password", tmp_path / "drkit.toml"
    password.touch(0o600)
    file.write_text(
        f"""
        [site]
        name = "site"
        [[repository]]
        name = "primary"
        url = "/backup"
        password_file = "{password}"
        [notify]
        urls = ["{address}"]
        """
    )
    found = list(keys.private_files(config.load_config(file)))
    assert [each.state for each in found] == (["warning", "ok"] if told else ["ok"])
    assert all("xyzzy" not in each.detail + each.hint for each in found)
