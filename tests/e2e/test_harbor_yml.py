"""harbor.yml and the configuration drift apart: what Harbor uses is no longer what is backed up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from testenv import Site
from tests.e2e.commands import Drkit, Ended
from tests.e2e.test_bad_input import only, set_in
from tests.e2e.test_drill_fails import put_back

CHECK, CONTROL = "what harbor.yml names", "file that harbor.yml names left out"


def of_harbor_yml(doctor: Ended) -> list[tuple[str, str]]:
    """What doctor says of it."""
    found = doctor.envelope["result"]["findings"]
    return [(each["state"], each["detail"]) for each in found if each["name"] == "harbor.yml"]


def check_of(drill: Ended) -> dict[str, Any]:
    (found,) = [each for each in drill.envelope["result"]["checks"] if each["name"] == CHECK]
    return dict(found)


def kinds(drkit: Drkit) -> set[str]:
    return {each["kind"] for each in drkit.run("status", "--json").envelope["result"]["findings"]}


def test_database_and_data_volume_have_moved(fresh: Drkit, site: Site) -> None:
    with put_back(site.harbor_yml):
        text = site.harbor_yml.read_text()
        moved = text.replace(f"port: {site.database_port}\n", "port: 1\n")
        moved = moved.replace(f"data_volume: {site.data}\n", "data_volume: /nowhere\n")
        site.harbor_yml.write_text(moved)
        ended = fresh.run("doctor", "--json")
    assert (ended.code, ended.error["kind"]) == (5, "not_green")
    assert ended.error["message"].startswith(
        "3 problems; the first: harbor.yml names the database registry at"
    )
    assert ended.error["hint"].endswith('dropped = ["database:127.0.0.1:1/registry"] in [site]')
    said = of_harbor_yml(ended)
    assert [state for state, _ in said] == ["problem"] * 3
    assert f"the images are in /nowhere/registry, and [blobs] is {site.blobs}" in said[1][1]
    assert "names /nowhere/secret (the secret key" in said[2][1]
    (after,) = of_harbor_yml(fresh.run("doctor", "--json"))
    assert after[0] == "ok"


def test_a_directory_of_keys_that_nobody_added(
    fresh: Drkit, site: Site, new_home: Callable[[], Path]
) -> None:
    keys = new_home()
    keys.mkdir()
    (keys / "core.key").write_text("a key")
    fresh.change(only("secrets"))
    with put_back(site.harbor_yml):
        with site.harbor_yml.open("a") as edited:
            edited.write(f"internal_tls: {{enabled: true, dir: {keys}}}\n")
        (state, said), *more = of_harbor_yml(fresh.run("doctor", "--json"))
        assert (state, more) == ("problem", [])
        assert said.startswith(f"harbor.yml names {keys} (")
        assert said.endswith("is not among the secrets")
        (warning,) = fresh.ask("backup")["warnings"]
        hint = f'add it to paths in [secrets]; if that is intended, dropped = ["secrets:{keys}"] in [site]'
        assert warning == f"{said}: {hint}"
        assert "harbor_drift" in kinds(fresh)
        drilled = fresh.run("drill", "--json")
        assert (drilled.code, check_of(drilled)["outcome"]) == (5, "failed")
        assert f"{keys}, which harbor.yml names, is not in the bundle" in check_of(drilled)["detail"]
        assert "`drkit doctor` says how to correct the configuration" in drilled.error["hint"]

        before = fresh.config.read_text()
        told = ["blobs", "database:registry", f"secrets:{keys}"]
        fresh.change(set_in("site", dropped=told))
        ((state, said),) = of_harbor_yml(fresh.run("doctor", "--json"))
        assert (state, said.endswith("but for what dropped in [site] names")) == ("ok", True)
        assert "harbor_drift" not in kinds(fresh)

        fresh.config.write_text(before)
        fresh.change(lambda document: document["secrets"]["paths"].append(str(keys)))
        fresh.ask("backup")
        assert "harbor_drift" not in kinds(fresh)
        drilled = fresh.run("drill", "--json")
        assert (drilled.code, check_of(drilled)["outcome"]) == (0, "passed")
        assert {each["name"]: each["caught"] for each in drilled.result["controls"]}[CONTROL]
