"""The escrow page of a site whose images are in a bucket."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit.actions.keys import escrow
from drkit.actions.keys.escrow import EscrowOptions
from drkit.config import Config, parse_config


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    for name, text in (("restic.password", "one"), ("vault.env", "AWS_ACCESS_KEY_ID=two")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    return parse_config(
        f"""
        [site]
        name = "registry.example.com"
        state = "{tmp_path}/state"
        [blobs]
        kind = "s3"
        bucket = "harbor"
        [vault]
        bucket = "vault"
        prefix = "registry"
        endpoint = "https://s3.example.org"
        credentials_file = "{tmp_path}/vault.env"
        ca_file = "/etc/ssl/vault.pem"
        [[repository]]
        name = "primary"
        url = "/backup/drkit"
        password_file = "{tmp_path}/restic.password"
        """,
        "drkit.toml",
    )


def test_the_vault_is_on_the_page(settings: Config, tmp_path: Path) -> None:
    page = escrow.escrow(settings, tmp_path / "drkit.toml", EscrowOptions()).text
    assert page is not None
    assert "Vault: s3://vault/registry at https://s3.example.org" in page
    assert f"its credentials: were in {tmp_path}/vault.env" in page
    assert "was in /etc/ssl/vault.pem" in page
    assert "AWS_ACCESS_KEY_ID=two" not in page


def test_its_credentials_are_there_where_secrets_are_asked_for(settings: Config, tmp_path: Path) -> None:
    options = EscrowOptions(output=tmp_path / "out", with_secrets=True)
    found = escrow.escrow(settings, tmp_path / "drkit.toml", options)
    assert len(found.written) == 2
    for path in found.written:
        text = Path(path).read_text()
        assert "AWS_ACCESS_KEY_ID=two" in text
        assert "s3://vault/registry at https://s3.example.org" in text
