"""Harbor's read-only mode around a backup: set only if wanted, and always unset again."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import testenv
from testenv import Site, harbor_api
from testenv.harbor_api import Api
from tests.e2e import gates
from tests.e2e.commands import Drkit, assert_error, finish
from tests.e2e.test_bad_input import only

_WARNING = "Harbor was read-only while this point was taken, and will be after a restore: unset it then"
_SET = ("PUT", "/api/v2.0/configurations")


@pytest.fixture
def api(site: Site) -> Iterator[Api]:
    with harbor_api.serving(site, tls=True) as api:
        yield api
    with testenv.connect(site) as connection:
        connection.execute(b"DELETE FROM properties WHERE k = 'read_only'")


def section(drkit: Drkit, site: Site, api: Api, **more: object) -> Callable[[dict[str, Any]], None]:
    """A change of the configuration: `[harbor]` names this server."""
    password = harbor_api.write_password(site, drkit.home / "harbor.password")

    def change(document: dict[str, Any]) -> None:
        named = {"url": api.url, "user": harbor_api.USER, "password_file": str(password)}
        document["harbor"] = {**named, "ca_file": str(site.tls / "ca.crt"), **more}

    return change


@pytest.fixture
def quick(fresh: Drkit, site: Site, api: Api) -> Drkit:
    """A drkit for the database alone, that makes Harbor read-only."""
    return fresh.change(only("database")).change(section(fresh, site, api, read_only=True))


def test_it_is_set_before_and_unset_after(quick: Drkit, site: Site, api: Api) -> None:
    gate = gates.databases_held(quick)
    process = gate.drkit.start("backup", "--json")
    try:
        gate.wait(process)
        assert harbor_api.read_only(site), "while the backup runs"
        assert json.loads((quick.state / "read_only.json").read_text())["url"] == api.url
    finally:
        gate.open()
        result = finish(process).result
    assert result["warnings"] == [_WARNING]
    assert not harbor_api.read_only(site)
    assert api.requests.count(_SET) == 2
    assert not (quick.state / "read_only.json").exists()
    assert not [path for path in quick.state.rglob("*") if path.is_file() and _says_password(path, site)]


def _says_password(path: Path, site: Site) -> bool:
    return site.planted["administrator password"].encode() in path.read_bytes()


def test_what_somebody_else_has_set_stays(quick: Drkit, site: Site, api: Api) -> None:
    harbor_api.set_read_only(site, True)
    assert quick.ask("backup")["warnings"] == [_WARNING]
    assert harbor_api.read_only(site)
    harbor_api.set_read_only(site, False)
    quick.change(section(quick, site, api))
    assert quick.ask("backup")["warnings"] == [], "nobody asks for it any more"
    assert _SET not in api.requests


def test_an_interruption_unsets_it(quick: Drkit, site: Site) -> None:
    gate = gates.databases_held(quick)
    process = gate.drkit.start("backup", "--json")
    try:
        gate.wait(process)
        process.send_signal(signal.SIGINT)
    finally:
        ended = finish(process)
    assert ended.code == 130
    assert not harbor_api.read_only(site)
    assert not (quick.state / "read_only.json").exists()


def test_after_a_kill_doctor_tells_and_the_next_backup_unsets_it(quick: Drkit, site: Site) -> None:
    gate = gates.databases_held(quick)
    process = gate.drkit.start("backup", "--json")
    try:
        gate.wait(process)
    finally:
        process.kill()
        process.communicate()
    assert harbor_api.read_only(site)
    told = quick.run("doctor", "--json")
    (finding,) = [f for f in told.envelope["result"]["findings"] if f["name"] == "harbor"]
    assert finding["state"] == "problem"
    assert finding["detail"].startswith("a killed run made Harbor at https://127.0.0.1:")
    result = quick.ask("backup")
    assert any(
        line.startswith("unset Harbor's read-only mode, which a killed run") for line in result["swept"]
    )
    assert not harbor_api.read_only(site)


def test_a_harbor_that_stays_read_only_is_no_success(quick: Drkit, site: Site, api: Api) -> None:
    """The point is sealed all the same; the next run tries again."""
    gate = gates.databases_held(quick)
    process = gate.drkit.start("backup", "--json")
    try:
        gate.wait(process)
        api.failures = 100
    finally:
        gate.open()
        ended = finish(process)
    assert ended.code == 7
    message = f"Harbor at {api.url} is still read-only, and takes no pushes: .*503 Service Unavailable"
    assert_error(ended, "tool_failed", message, "unset it in Harbor .*")
    assert len(quick.sealed()) == 1
    api.failures = 1  # which passes
    assert quick.ask("backup")["status"] == "sealed"
    assert not harbor_api.read_only(site)


def test_wrong_password_and_wrong_certificate(quick: Drkit, site: Site) -> None:
    password = quick.home / "harbor.password"
    right = password.read_text()
    password.write_text("not this one\n")
    ended = quick.run("backup", "--json")
    assert ended.code == 4
    message = "Harbor at https://.* refuses admin: GET configurations, 401 Unauthorized"
    assert_error(ended, "config_error", message, ".*")
    assert "not this one" not in ended.stdout + ended.stderr
    password.write_text(right)
    quick.change(lambda document: document["harbor"].pop("ca_file"))
    ended = quick.run("backup", "--json")
    assert ended.code == 7
    assert_error(ended, "tool_failed", "GET https://.*CERTIFICATE_VERIFY_FAILED.*", ".*")
