"""Limits of bandwidth: how they are written, and where they do not hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drkit.config import BucketBlobs, load_config
from drkit.config.fields import parse_rate
from drkit.points.catalog import open_catalog
from drkit.tools.restic.copying import command_for


@pytest.mark.parametrize(("text", "rate"), [("1 KiB/s", 1024), ("20MiB/s", 20 << 20), (" 2 GiB/s", 2 << 30)])
def test_rates(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0 MiB/s", "20 MB/s", "20", "-1 MiB/s", "1.5 MiB/s"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="a rate looks like"):
        parse_rate(text)


def test_they_reach_restic_and_a_restore_has_none(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x")
    file = tmp_path / "drkit.toml"
    file.write_text(f"""
        [site]
        name = "registry.example.com"
        state = "{tmp_path}/state"
        [[repository]]
        name = "primary"
        url = "{tmp_path}/repository"
        password_file = "{tmp_path}/password"
        upload_limit = "5 MiB/s"
        download_limit = "512 KiB/s"
        [blobs]
        kind = "s3"
        bucket = "images"
        download_limit = "1 MiB/s"
        [vault]
        bucket = "vault"
        upload_limit = "1 MiB/s"
    """)
    settings = load_config(file)
    access = open_catalog(settings).repository.access
    words = access.command("snapshots").arguments
    assert " ".join(words[1:]).startswith(
        "--retry-lock 300s --limit-upload 5120 --limit-download 512 snapshots"
    )
    other = replace(access, url="/other", upload_limit=None, download_limit=2048)
    assert "--limit-upload 5120 --limit-download 2 copy x" in " ".join(
        command_for(other, access, ["x"]).arguments
    )
    free = settings.unlimited()
    assert not [
        w for w in open_catalog(free).repository.access.command("snapshots").arguments if "limit" in w
    ]
    assert isinstance(free.blobs, BucketBlobs)
    assert free.blobs.download_limit is None
    assert free.vault is not None
    assert free.vault.upload_limit is None
    assert free.file == settings.file
