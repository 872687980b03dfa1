"""The loop: set up, look, back up, lose everything, restore, prove."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

import testenv
from testenv import Site
from tests.e2e import accounts
from tests.e2e.commands import Drkit, Ended
from tests.e2e.conftest import initialise

# The first test lives through the whole story: a site, and more than a dozen commands.
pytestmark = pytest.mark.timeout(900)

_LOSSES: tuple[Literal["database", "blobs", "secrets"], ...] = ("database", "blobs", "secrets")


@dataclass
class Account:
    """What a site is like at one moment."""

    database: dict[str, str]
    files: dict[str, str]
    served: dict[str, str]


@dataclass
class Story:
    """The loop on one site, with everything that was said and seen on the way."""

    site: Site
    drkit: Drkit
    before: Account
    said: dict[str, Ended] = field(default_factory=dict)
    after: Account | None = None
    report: Path | None = None

    def tell(self, name: str, *words: str) -> Ended:
        """Run a command and remember what came of it."""
        self.said[name] = self.drkit.run(*words)
        return self.said[name]


@pytest.fixture(scope="module")
def story(place: Path, new_home: Callable[[], Path]) -> Iterator[Story]:
    site = testenv.create(place / "lost", testenv.TINY)
    accounts.embellish(site)
    drkit = Drkit(new_home())
    initialise(drkit, site)
    told = Story(site, drkit, take_account(site, drkit))
    try:
        _live_through(told)
        yield told
    finally:
        testenv.destroy(site.root)


def _live_through(story: Story) -> None:
    """Everything in order; each test then looks at its part of it."""
    story.tell("doctor", "doctor", "--json")
    story.tell("plan", "backup", "--dry-run", "--json")
    story.tell("status without points", "status", "--json")
    story.tell("backup", "backup", "--json")
    story.tell("status without drill", "status", "--json")
    for what in _LOSSES:
        testenv.lose(story.site, what)
    story.tell("restore", "restore", "latest", "--yes", "--json")
    story.after = take_account(story.site, story.drkit)
    story.report = story.drkit.home / "report"
    story.tell("drill", "drill", "--report", str(story.report), "--json")
    story.tell("points", "points", "--json")
    story.tell("show", "show", "latest", "--json")
    story.tell("status", "status", "--json")
    story.tell("verify", "verify", "--read-data-subset", "100%", "--json")
    story.tell("expire", "expire", "--json")
    story.tell("timers", "timers", "--json")


def take_account(site: Site, drkit: Drkit) -> Account:
    """The site as it is now: its database, the files that are protected, and what it serves."""
    files = accounts.files(site.blobs, *accounts.protected(drkit))
    return Account(accounts.database(site), files, accounts.served(site))


def test_the_registry_serves_what_it_served(story: Story) -> None:
    assert story.after is not None
    assert story.after.served == story.before.served
    assert len(story.after.served) > 15
    assert all(answer == f"200 {image.partition('@')[2]}" for image, answer in story.after.served.items())


def test_the_database_is_equal(story: Story) -> None:
    """Rows, definitions, owners, grants, roles with their passwords, and the database's own settings."""
    assert story.after is not None
    assert story.after.database == story.before.database
    assert story.before.database["database"] == "('harbor UTF8 C.UTF-8 C.UTF-8 c',)"
    assert "Harbor's own" in story.before.database["comment on the database"]
    assert "harbor_readers CONNECT" in story.before.database["database registry"]


def test_files_come_back_with_owners_modes_and_times(story: Story) -> None:
    assert story.after is not None
    assert story.after.files == story.before.files
    assert len(story.after.files) > 200


def test_restore_says_what_it_did(story: Story) -> None:
    result = story.said["restore"].result
    assert result["point"] == story.said["backup"].result["id"]
    steps = {step["what"]: step for step in result["steps"]}
    assert set(steps) == {"database registry", "image blobs", "14 secret files"}
    assert all(step["seconds"] >= 0 and step["verified"] for step in steps.values())
    assert result["set_aside"] == []
    kept = "with their passwords: grafana, harbor, harbor_readers"
    made = f"roles that were missing were made as they were, {kept}"
    assert made in result["warnings"]
    assert len(result["warnings"]) == (1 if os.geteuid() == 0 else 2), "only root can give files away"


def test_init_writes_keys_that_nobody_else_may_read(story: Story) -> None:
    for name in ("restic.password", "database.password", "drill.agekey"):
        assert stat.S_IMODE((story.drkit.home / name).stat().st_mode) == 0o600
    text = story.drkit.config.read_text()
    assert [name for name, value in story.site.planted.items() if value in text] == []


def test_doctor_finds_everything_in_order(story: Story) -> None:
    result = story.said["doctor"].result
    assert result["problems"] == 0
    warned = [finding["name"] for finding in result["findings"] if finding["state"] == "warning"]
    assert warned == ["all copies", "recipients"], "one repository, and one identity, are a risk"
    looked_at = {finding["name"] for finding in result["findings"]}
    assert {"restic", "repository primary", "database registry", "blobs", "secrets", "sandbox"} <= looked_at


def test_backup_has_the_fields_that_scripts_read(story: Story) -> None:
    assert_point(story.said["backup"].result)
    assert story.said["backup"].envelope["command"] == "backup"


def test_show_has_the_fields_that_scripts_read(story: Story) -> None:
    result = story.said["show"].result
    assert_point(result)
    assert result["id"] == story.said["backup"].result["id"]
    assert [note["outcome"] for note in result["drills"]] == ["passed"]
    for name in ("parts", "closure", "consistent_at"):
        assert result[name] == story.said["backup"].result[name]


def assert_point(result: dict[str, Any]) -> None:
    """The fields of a sealed point of the whole site."""
    assert result["status"] == "sealed"
    assert result["started_at"] <= result["consistent_at"] <= result["finished_at"]
    assert [(part["kind"], part["name"]) for part in result["parts"]] == [
        ("database", "registry"),
        ("roles", "registry"),
        ("blobs", "blobs"),
        ("digests", "digests"),
        ("tags", "tags"),
        ("names", "names"),
        ("secrets", "secrets"),
        ("configuration", "configuration"),
    ]
    for part in result["parts"]:
        assert len(part["snapshot"]) == 64
        assert part["bytes"] > 0
        assert part["seconds"] >= 0
    closure = result["closure"]
    assert closure["referenced"] == closure["present"] > 50
    assert (closure["missing"], closure["size_mismatch"], closure["unreferenced"]) == (0, 0, 0)
    assert result["warnings"] == []


def test_points_has_the_fields_that_scripts_read(story: Story) -> None:
    (point,) = story.said["points"].result["points"]
    backup = story.said["backup"].result
    assert point["id"] == backup["id"]
    assert point["status"] == "sealed"
    assert point["consistent_at"] == backup["consistent_at"]
    assert point["bytes"] == sum(part["bytes"] for part in backup["parts"])
    assert point["last_drill"]["id"] == story.said["drill"].result["id"]


def test_drill_passes_with_the_fields_that_scripts_read(story: Story) -> None:
    result = story.said["drill"].result
    assert (result["outcome"], result["level"]) == ("passed", "full")
    assert result["point"] == story.said["backup"].result["id"]
    # A site that has none of those rules: said, and no pass.
    unproved = [check["name"] for check in result["checks"] if check["outcome"] != "passed"]
    assert unproved == ["relation: preheat rules to project"]
    assert {"tables of registry", "tags can be pulled", "blobs hash to their names", "closure"} <= {
        check["name"] for check in result["checks"]
    }
    fields = {"name", "kind", "subject", "outcome", "detail", "seconds", "reason"}
    assert all(set(check) == fields for check in result["checks"])
    assert {control["name"] for control in result["controls"]} >= {
        "flipped byte", "truncated blob", "missing blob", "emptied link", "dropped row in registry",
        "row added to registry", "changed row in registry", "sequence set back in registry",
        "torn relation in registry", "truncated dump of registry", "wrong age identity", "wrong secret key",
        "another's key", "manifest of another point", "moved tag", "lost name",
    }  # fmt: skip
    assert all(control["caught"] for control in result["controls"])
    assert result["unplanted"] == []
    stages = {stage["name"]: stage for stage in result["stages"]}
    checked = {"check the point", "check images", "check tree", "check database registry", "check secrets"}
    assert {"restore blobs", "load registry", "controls", "tear down", *checked} <= stages.keys()
    served = stages["start registry"]
    assert served["started"] + served["seconds"] <= stages["restore blobs"]["started"], "before the blobs"
    assert 0 < result["first_pull_seconds"] < stages["check images"]["started"]
    # Whatever the machine is busy with, nothing of this takes an hour.
    assert 0 < result["recovery_time_seconds"] < 3600
    assert 0 < result["recovery_point_age_seconds"] < 3600
    assert [(goal["name"], goal["met"]) for goal in result["objectives"]] == [("rto", True), ("rpo", True)]
    assert result["problems"] == []


def test_drill_leaves_a_report_for_programs_and_for_people(story: Story) -> None:
    result = story.said["drill"].result
    assert story.report is not None
    kept = story.drkit.state / "drills" / result["id"]
    assert result["report"] == str(story.report / "report.html")
    for directory in (story.report, kept):
        data = json.loads((directory / "report.json").read_text())
        assert data == {**result, "report": data["report"]}
        page = (directory / "report.html").read_text()
        assert result["point"] in page
        assert "<script" not in page
        told = [
            check["name"].removeprefix("relation: ").removeprefix("inventory: ") for check in result["checks"]
        ]
        assert [name for name in told if name not in page] == []
        assert all(control["name"].replace("'", "&#39;") in page for control in result["controls"])
        assert "What could not be proved" in page


def test_status_is_green_only_with_a_point_and_a_proof(story: Story) -> None:
    without_points, without_drill = story.said["status without points"], story.said["status without drill"]
    assert (without_points.code, without_drill.code, story.said["status"].code) == (5, 5, 0)
    assert without_points.error["message"] == "missed: rpo, rto, drill"
    assert without_points.error["kind"] == "objective_missed"
    assert without_drill.error["message"] == "missed: rto, drill"
    missed = {goal["name"]: goal for goal in without_points.envelope["result"]["objectives"]}
    assert all(goal["actual_seconds"] is None and not goal["met"] for goal in missed.values())
    result = story.said["status"].result
    assert [goal["name"] for goal in result["objectives"]] == ["rpo", "rto", "drill"]
    for goal in result["objectives"]:
        assert 0 < goal["actual_seconds"] < goal["target_seconds"]
        assert goal["met"] is True
    assert result["newest_point"] == story.said["backup"].result["id"]
    assert result["last_passed_drill"]["id"] == story.said["drill"].result["id"]
    assert result["problems"] == []


def test_expire_keeps_the_only_point_and_says_why(story: Story) -> None:
    (decision,) = story.said["expire"].result["decisions"]
    assert decision["keep"] is True
    assert {"newest sealed point", "newest point that a drill has proven"} <= set(decision["reasons"])


def test_what_else_was_asked_went_well(story: Story) -> None:
    assert [part["kind"] for part in story.said["plan"].result] == [
        "database", "roles", "blobs", "digests", "secrets",
    ]  # fmt: skip
    assert story.said["verify"].result["repository"] == "primary"
    assert "drkit-registry.example.test-backup.timer" in story.said["timers"].result["files"]


def test_stdout_is_one_object_and_stderr_has_no_traceback(story: Story) -> None:
    for name, ended in story.said.items():
        assert ended.envelope["command"] == {"plan": "backup"}.get(name, name.split()[0])
        assert "Traceback" not in ended.stderr


def test_nothing_is_left_in_the_state_directory(story: Story) -> None:
    assert list((story.drkit.state / "runs").iterdir()) == []
    assert list(story.drkit.sandboxes.iterdir()) == []
    assert not (story.drkit.state / "locks/site.json").exists()
    assert list((story.drkit.repository / "locks").iterdir()) == []
    with testenv.connect(story.site) as connection:
        mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'drkit'"
        assert connection.execute(mine.encode()).fetchone() == (0,)


def test_restore_over_live_data_sets_it_aside_and_loses_nothing(story: Story) -> None:
    """After everything else: the whole site is replaced, and what stood there is still there, elsewhere."""
    site, drkit = story.site, story.drkit
    testenv.push_image(site, "library", "newer", "v1")
    with site.harbor_yml.open("a") as edited:
        edited.write("# A change that the point does not have.\n")
    before, served = take_account(site, drkit), accounts.served(site)
    point = story.said["backup"].result["id"]
    result = drkit.ask("restore", point, "--yes", "--replace")
    after = take_account(site, drkit)
    assert after.database == story.before.database
    # Files that were set aside stand beside the restored ones, in directories that keep their own time.
    for path, about in story.before.files.items():
        if not about.startswith("d") or path.startswith(str(site.blobs)):
            assert after.files[path] == about, path
    assert after.served == {image: answer for image, answer in served.items() if "/newer@" not in image}

    aside = f"registry_before_{point.replace('-', '_')}"
    blobs = site.blobs.with_name(f"{site.blobs.name}.before-{point}")
    set_aside = accounts.database(site, aside)
    assert {key: value for key, value in set_aside.items() if key.startswith("table ")} == {
        key: value for key, value in before.database.items() if key.startswith("table ")
    }
    moved = accounts.files(blobs)
    assert {path.replace(str(blobs), str(site.blobs), 1): about for path, about in moved.items()} == {
        path: about for path, about in before.files.items() if path.startswith(str(site.blobs))
    }
    # Of the secrets only what is not as it was packed has to make room.
    settings = site.harbor_yml.with_name(f"{site.harbor_yml.name}.before-{point}")
    assert set(result["set_aside"]) == {f"database {aside}", str(blobs), str(settings)}
    assert accounts.files(settings)[str(settings)] == before.files[str(site.harbor_yml)]
    assert before.files[str(site.harbor_yml)] != story.before.files[str(site.harbor_yml)]
