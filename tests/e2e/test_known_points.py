"""Points that vanish although drkit has not removed them: each is missed, until somebody says it is meant."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.commands import Drkit, clone, exactly, fails
from tests.e2e.test_bad_input import only
from tests.e2e.test_expire import keep, new_recipient


@pytest.fixture(scope="module")
def two(empty: Drkit, new_home: Callable[[], Path]) -> Drkit:
    """Two points without images and objectives; `old` is the repository with the first."""
    drkit = clone(empty, new_home())
    drkit.change(only("database", "secrets"))
    drkit.change(lambda document: [document.pop(name, None) for name in ("objectives", "schedule")])
    drkit.ask("backup")
    shutil.copytree(drkit.repository, drkit.home / "old")
    drkit.ask("backup")
    assert red(drkit) == {}
    return drkit


@pytest.fixture
def drkit(two: Drkit, new_home: Callable[[], Path]) -> Iterator[Drkit]:
    made = clone(two, new_home())
    yield made
    shutil.rmtree(made.home)


def red(drkit: Drkit) -> dict[str, str]:
    """What makes the status red: messages by kind; its exit code agrees."""
    ended = drkit.run("status", "--json")
    found = {each["kind"]: each["message"] for each in ended.envelope["result"]["findings"] if each["red"]}
    assert ended.code == (5 if found else 0), ended.stdout
    return found


def known(drkit: Drkit) -> Any:
    return json.loads((drkit.state / "known" / "primary.json").read_text())


def test_an_older_copy_that_was_put_back(drkit: Drkit) -> None:
    newest, oldest = drkit.sealed()
    shutil.rmtree(drkit.repository)
    shutil.copytree(drkit.home / "old", drkit.repository)
    found = red(drkit)
    assert set(found) == {"points_missing"}
    assert newest in found["points_missing"]
    assert oldest not in found["points_missing"]
    assert any(newest in line and "problem" in line for line in drkit.run("doctor").stdout.splitlines())
    said = exactly(
        "sealed recovery points are gone from the repository primary (1), and no `drkit expire` has removed"
        f" them: {newest}"
    )
    hint = rf".*`drkit points --repository primary --forget {newest}`"
    fails(drkit, ["verify"], 7, "points_missing", said, hint)
    keep(drkit, keep_last=1)
    fails(drkit, ["expire"], 7, "points_missing", f"nothing was removed: {said}", hint)
    assert drkit.ask("points")["missing"] == [newest]
    result = drkit.ask("backup")
    assert result["status"] == "sealed"
    assert any(newest in warning for warning in result["warnings"])
    assert "points_missing" in red(drkit), "a new backup does not bring it back"

    assert drkit.ask("points", "--forget", newest)["missing"] == []
    drkit.ask("verify")
    drkit.ask("expire")
    assert red(drkit) == {}


def test_an_empty_repository_with_the_same_password(drkit: Drkit) -> None:
    before = drkit.sealed()
    was = known(drkit)["repository"]
    shutil.rmtree(drkit.repository)
    drkit.restic("init")
    found = red(drkit)
    assert list(found) == ["other_repository", "points_missing", "no_point"], "the cause comes first"
    assert was[:16] in found["other_repository"]
    result = drkit.ask("backup")
    assert result["status"] == "sealed", "better here than nowhere"
    assert any("is another one than before" in warning for warning in result["warnings"])
    found = red(drkit)
    assert set(found) == {"other_repository", "points_missing"}
    assert all(point in found["points_missing"] for point in before)
    ended = drkit.run("doctor", "--json")
    assert ended.code == 5
    assert "is another one than before" in ended.error["message"]

    assert drkit.ask("points", "--forget", was[:16])["missing"] == []
    assert red(drkit) == {}
    assert known(drkit) == {
        "repository": json.loads(drkit.restic("cat", "config"))["id"],
        "site": drkit.ask("status")["site"],
        "points": [result["id"]],
    }


def test_snapshots_that_somebody_forgot_by_hand(drkit: Drkit) -> None:
    """A seal alone as well: the parts of what was sealed once are not swept away as a dead run's."""
    newest, oldest = drkit.sealed()
    tags = f"drkit:point:{newest},drkit:manifest"
    (seal,) = json.loads(drkit.restic("snapshots", "--json", "--tag", tags))
    drkit.restic("forget", seal["id"])
    drkit.restic("forget", "--tag", f"drkit:point:{oldest}", "--unsafe-allow-remove-all")
    found = red(drkit)["points_missing"]
    assert newest in found
    assert oldest in found
    assert drkit.ask("backup")["swept"] == []
    assert newest in {point["id"] for point in drkit.points()}
    message = f'"{"0" * 16}" names no single point that is missing from primary, .*'
    fails(drkit, ["points", "--forget", "0" * 16], 2, "usage_error", message, ".*missing: .*")
    drkit.ask("points", "--forget", newest, "--forget", oldest)
    assert red(drkit) == {}
    assert len(drkit.ask("backup")["swept"]) == 1


def test_what_drkit_itself_removes_or_replaces_is_not_missed(drkit: Drkit) -> None:
    """By this host, by another of the same site, and by one that has lost its state."""
    other = elsewhere(drkit, "other")
    other.ask("verify")
    assert known(other)["points"] == sorted(drkit.sealed())
    drkit.ask("keys", "rotate", "--points", "--yes", "--add", f"{new_recipient()} new")
    keep(drkit, keep_last=1)
    assert drkit.ask("expire")["removed"] == 1
    for each in (drkit, other):
        assert red(each) == {}
        each.ask("verify")
        assert known(each)["points"] == drkit.sealed()

    made = drkit.ask("backup")["id"]
    keep(other, keep_last=1)
    assert other.ask("expire")["removed"] == 0, "they are another host's"
    other.ask("points", "--take-over", platform.node())
    assert other.ask("expire")["removed"] == 1
    assert drkit.sealed() == [made]
    assert red(drkit) == {}
    drkit.ask("expire")
    shutil.rmtree(drkit.repository)
    shutil.copytree(drkit.home / "old", drkit.repository)
    shutil.rmtree(drkit.state)
    assert red(drkit) == {}, "who has seen nothing misses nothing"


def elsewhere(drkit: Drkit, name: str) -> Drkit:
    """Another host of the same site, with a state of its own and the same repository."""
    home = drkit.home / name
    home.mkdir()
    shutil.copy2(drkit.restic_password, home)
    text = drkit.config.read_text().replace(str(drkit.state), str(home / "state"))
    (home / "drkit.toml").write_text(text)
    return Drkit(home)
