"""Where image blobs go: what a point says is not always to be believed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drkit import config
from drkit.actions.restore.target import target
from drkit.errors import RestoreDamaged
from tests import samples

MANIFEST = samples.manifest("20261124-020000-4f2a9c", datetime(2026, 11, 24, 2, tzinfo=UTC))


def settings_of(tmp_path: Path) -> config.Config:
    file = tmp_path / "drkit.toml"
    file.write_text(
        f'[site]\nname = "x"\nstate = "{tmp_path}"\n'
        f'[[repository]]\nname = "primary"\nurl = "/backup"\npassword_file = "{tmp_path}/password"\n'
    )
    return config.load_config(file)


def test_where_blobs_were_may_be_anything_else_than_the_systems_own(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    for where in ("/", "/etc", "/etc/cron.d", "/usr/lib/x", "/var/lib", "/root/.ssh"):
        with pytest.raises(RestoreDamaged, match="belongs to the operating system"):
            target(settings, replace(MANIFEST, blobs_root=where), None)
    wanted = replace(MANIFEST, blobs_root="/var/lib/registry")
    assert target(settings, wanted, None) == Path("/var/lib/registry")
    below = replace(wanted, blobs_root="/etc")
    assert target(settings, below, tmp_path) == tmp_path / "etc"
