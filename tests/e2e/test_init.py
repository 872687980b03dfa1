"""`drkit init`: what it finds beside Harbor, and what it leaves behind where it fails."""

from __future__ import annotations

import json
import shutil
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from psycopg import Connection

from testenv import Site
from tests.e2e.commands import Drkit, finish
from tests.e2e.gates import Gate


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


@pytest.mark.parametrize("by", ["drkit", "somebody"])
def test_only_a_password_that_drkit_made_may_be_cheap_to_try(
    site: Site, new_home: Callable[[], Path], by: str
) -> None:
    drkit = Drkit(new_home())
    drkit.home.mkdir()
    if by == "somebody":
        drkit.restic_password.write_text("secret\n")
        drkit.restic_password.chmod(0o600)
    words = ("init", "--harbor", str(site.harbor_yml), "--repository", str(drkit.repository))
    result = drkit.ask(*words, "--output", str(drkit.config), "--state", str(drkit.state))
    assert not any("half a second" in warning for warning in result["warnings"])
    (key,) = (drkit.repository / "keys").iterdir()
    assert (json.loads(key.read_text())["N"] == 1 << 14) is (by == "drkit")
    shutil.rmtree(drkit.home)


def test_an_interruption_does_not_take_back_the_password_of_a_repository_that_is_made(
    site: Site, new_home: Callable[[], Path]
) -> None:
    drkit = Drkit(new_home())
    drkit.home.mkdir()
    gate = Gate(drkit, "restic", "list keys", "come")
    words = ("init", "--harbor", str(site.harbor_yml), "--repository", str(drkit.repository))
    init = gate.drkit.start(*words, "--output", str(drkit.config), "--state", str(drkit.state))
    gate.wait(init)
    init.send_signal(signal.SIGINT)
    assert finish(init).code == 130
    assert drkit.points() == []
