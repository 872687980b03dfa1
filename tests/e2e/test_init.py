"""`drkit init`: what it finds beside Harbor, and what it leaves behind where it fails."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

from psycopg import Connection

from testenv import Site
from tests.e2e.commands import Drkit


def test_databases_of_notary_and_charts_are_found(
    site: Site, server: Connection, new_home: Callable[[], Path]
) -> None:
    drkit, charts = Drkit(new_home()), site.data / "chart_storage/library"
    server.execute(b"CREATE DATABASE notaryserver")
    charts.mkdir(parents=True)
    try:
        drkit.home.mkdir()
        words = ("init", "--harbor", str(site.harbor_yml), "--repository", str(drkit.repository))
        result = drkit.ask(*words, "--output", str(drkit.config), "--state", str(drkit.state))
    finally:
        server.execute(b"DROP DATABASE notaryserver WITH (FORCE)")
        shutil.rmtree(charts.parent)
    (warning,) = result["warnings"]
    assert warning.startswith(f"{charts.parent} is not protected: it has Helm charts")
    settings = tomllib.loads(drkit.config.read_text())
    first, second = settings["database"]
    assert (second["name"], second["password_file"]) == ("notaryserver", first["password_file"])
    assert "dbname=notaryserver" in second["dsn"]
    shutil.rmtree(drkit.home)


def test_a_repository_that_does_not_open_leaves_nothing_behind(
    site: Site, empty: Drkit, new_home: Callable[[], Path]
) -> None:
    drkit = Drkit(new_home())
    words = ("init", "--harbor", str(site.harbor_yml), "--repository", str(empty.repository))
    ended = drkit.run(*words, "--output", str(drkit.config), "--state", str(drkit.state))
    assert ended.code == 12
    assert not drkit.home.exists()
