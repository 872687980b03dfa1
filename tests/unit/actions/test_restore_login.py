"""Whose password goes to which server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drkit import config
from drkit.actions.restore.options import RestoreOptions
from drkit.actions.restore.plan import database_target
from drkit.model import DatabaseEvidence, DatabaseShape
from drkit.reports.next_steps import next_steps
from tests import samples
from tests.unit.points.test_recovery import whole

SHAPE = DatabaseShape("registry", "harbor", "UTF8", "libc", "C", "C")
EVIDENCE = DatabaseEvidence("registry", SHAPE, 150_012, {}, ())
CONFIGURED = "host=db port=5432 user=harbor dbname=registry"


@pytest.fixture
def settings(tmp_path: Path) -> config.Config:
    (tmp_path / "password").write_text("configured")
    file = tmp_path / "drkit.toml"
    file.write_text(
        f"""
[site]
name = "x"
state = "{tmp_path}/state"
[[database]]
name = "registry"
dsn = "{CONFIGURED}"
password_file = "{tmp_path}/password"
[[repository]]
name = "primary"
url = "{tmp_path}/repository"
password_file = "{tmp_path}/password"
"""
    )
    return config.load_config(file)


@pytest.mark.parametrize(
    ("dsn", "password"),
    [
        ("host=db user=harbor dbname=other", "configured"),
        ("postgresql://harbor@db:5432/registry", "configured"),
        ("host=db user=postgres dbname=registry", None),
        ("host=elsewhere user=harbor dbname=registry", None),
        ("host=db port=5433 user=harbor", None),
        ("host=db hostaddr=10.0.0.1 user=harbor", None),
        ("host=db dbname=registry", None),
    ],
)
def test_the_configured_password_goes_to_the_configured_login_alone(
    settings: config.Config, dsn: str, password: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    found = database_target(settings, EVIDENCE, RestoreOptions("latest", database_dsn=dsn))
    assert found.password == password


def test_a_password_of_its_own(settings: config.Config, tmp_path: Path) -> None:
    (tmp_path / "own").write_text("own\n")
    options = RestoreOptions("latest", database_dsn="host=x user=y", database_password_file=tmp_path / "own")
    assert database_target(settings, EVIDENCE, options).password == "own"


def test_what_comes_next_names_this_sites_paths_and_version() -> None:
    manifest = whole()
    files = tuple(
        replace(manifest.secret_files[1], path=path)
        for path in ("/opt/harbor/harbor.yml", "/data/secret/keys/secretkey")
    )
    steps = next_steps(replace(manifest, secret_files=files), Path("/root dir"), "the database roles harbor")
    said = "\n".join(steps)
    assert "docker compose stop core jobservice registry registryctl in /root dir/opt/harbor" in said
    assert "Harbor 2.15.0 to 2.15.2 (schema 180)" in said
    assert "/root dir/data/secret/keys/secretkey must be the restored one" in said
    assert "/root dir/data/redis" in said
    assert "set the passwords of the database roles harbor" in said
    order = ["stopped", "harbor.yml", "passwords", "prepare", "Redis", "log in", "garbage collection"]
    assert len(steps) == len(order) + 1
    assert all(word in step for word, step in zip(order, steps, strict=False))


def test_a_registry_that_is_not_harbor_has_other_steps() -> None:
    manifest = samples.manifest("20261124-020000-4f2a9c", datetime(2026, 11, 24, 2, tzinfo=UTC))
    said = "\n".join(next_steps(replace(manifest, databases=())))
    assert "prepare" not in said
    assert "empty its Redis" in said
