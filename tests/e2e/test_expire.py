"""Retention: what is kept and why, what is never removed, and what a kill in the middle leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage
import pytest

from tests import rest_server
from tests.e2e import gates
from tests.e2e.commands import Drkit, clone, exactly, fails
from tests.e2e.repositories import locks
from tests.e2e.test_bad_input import only, set_in
from tests.e2e.test_killed import kill_when, nothing_survives


@pytest.fixture(scope="module")
def three(empty: Drkit, new_home: Callable[[], Path]) -> Drkit:
    """Three points without images, the one in the middle proven by a drill."""
    drkit = clone(empty, new_home())
    drkit.change(only("database", "secrets"))
    for number in range(3):
        drkit.ask("backup")
        if number == 1:
            assert drkit.ask("drill")["outcome"] == "passed"
    return drkit


@pytest.fixture
def many(three: Drkit, new_home: Callable[[], Path]) -> Iterator[Drkit]:
    """The same, of the test's own."""
    made = clone(three, new_home())
    yield made
    shutil.rmtree(made.home)


def keep(drkit: Drkit, **rules: int) -> None:
    drkit.change(lambda document: document.update(retention=rules))


def test_reasons_and_a_dry_run_that_removes_nothing(three: Drkit) -> None:
    keep(three, keep_last=1)
    newest, proven, oldest = three.sealed()
    before = three.restic("snapshots", "--json")
    result = three.ask("expire", "--dry-run")
    assert (result["kept"], result["removed"], result["dry_run"]) == (2, 1, True)
    assert {line["point"]: (line["keep"], line["reasons"]) for line in result["decisions"]} == {
        newest: (True, ["last 1 of 1", "newest sealed point"]),
        proven: (True, ["newest point that a drill has proven"]),
        oldest: (False, ["no rule keeps it"]),
    }
    shown = three.run("expire", "--dry-run").stdout
    assert "1 recovery points would be removed, 2 kept" in shown
    assert three.restic("snapshots", "--json") == before


def test_neither_the_newest_nor_the_newest_proven_point_ever_goes(many: Drkit) -> None:
    keep(many, keep_daily=1)
    newest, proven, _ = many.sealed()
    result = many.ask("expire")
    assert (result["kept"], result["removed"], result["dry_run"]) == (2, 1, False)
    assert many.sealed() == [newest, proven]
    assert many.ask("show", proven)["drills"][0]["outcome"] == "passed"
    many.ask("verify", "--read-data-subset", "100%")
    assert many.ask("drill", proven)["outcome"] == "passed"


def test_without_rules_everything_stays(many: Drkit) -> None:
    many.change(lambda document: document.pop("retention"))
    result = many.ask("expire")
    assert (result["kept"], result["removed"]) == (3, 0)
    assert {reason for line in result["decisions"] for reason in line["reasons"]} == {
        "no retention rule is set"
    }


@pytest.mark.parametrize("gone", [1, 2])
def test_killed_in_the_middle(many: Drkit, gone: int) -> None:
    """Seals go first: what a kill leaves is sealed and whole, or not sealed, or gone."""
    keep(many, keep_last=1)
    newest, proven, _ = many.sealed()
    directory = many.repository / "snapshots"
    before = {path.name for path in directory.iterdir()}

    def there() -> set[str]:
        return before & {path.name for path in directory.iterdir()}

    # Between the seals and what else goes, it is told in the repository which points went.
    gate = gates.before(many, "--tag=drkit:expired:" if gone == 1 else "/restic prune")
    moment = lambda: len(there()) <= len(before) - gone  # noqa: E731
    assert kill_when(gate.drkit, moment, f"{gone} are gone", "expire"), "it was over before"
    nothing_survives(many)
    for point in many.points():
        if point["status"] == "sealed":
            assert parts_of(many, point["id"]) == ["manifest", "part:database:registry"]
    many.ask("expire")
    assert many.sealed() == [newest, proven]
    assert many.ask("points")["missing"] == []


def parts_of(drkit: Drkit, point: str) -> list[str]:
    """What restic itself has of a point, apart from reports of drills."""
    snapshots = json.loads(drkit.restic("snapshots", "--json", "--no-lock", "--tag", f"drkit:point:{point}"))
    tags = [tag.removeprefix("drkit:") for snapshot in snapshots for tag in snapshot["tags"]]
    return sorted(tag for tag in tags if tag.startswith(("manifest", "part:")))


def test_killed_while_it_prunes(many: Drkit) -> None:
    """A lock of the dead does not stop the next one."""
    keep(many, keep_last=1)
    slow = gates.slowly(many, "/restic prune")
    moment = lambda: slow.reached() and locks(many)  # noqa: E731
    assert kill_when(slow.drkit, moment, "restic prunes", "expire"), "it was over before"
    assert locks(many), "a restic that was killed leaves its lock"
    nothing_survives(many)
    assert many.ask("expire")["kept"] == 2
    many.ask("verify", "--read-data-subset", "100%")


def test_append_only(many: Drkit) -> None:
    """What the repository keeps is not called removed, and what it relies on is not touched."""
    keep(many, keep_last=1)
    before = many.sealed()
    incomplete = many.restic("snapshots", "--json", "--tag", f"drkit:point:{before[0]},drkit:manifest")
    with rest_server.serving(many.repository, "--append-only") as url:
        many.change(set_in("repository", url=url))
        where = exactly(f"could not be removed from {url} and are still there")
        hint = exactly("where the repository is append-only, leave that to a host that may remove from it")
        ended = fails(
            many, ["expire"], 7, "not_removed", rf"1 of 1 snapshots {where} \(.*403 Forbidden.*", hint
        )
        result = ended.envelope["result"]
        assert (result["kept"], result["removed"], result["remaining"]) == (2, 0, 1)
        shown = many.run("expire").stdout
        assert "0 recovery points removed, 2 kept" in shown
        assert "1 that were to be removed are still there; the vault was left alone" in shown
        assert many.sealed() == before

        said = many.run("doctor").stdout
        assert "are refused to this host" in said
        ended = many.run("keys", "rotate", "--points", "--yes", "--add", f"{new_recipient()} new", "--json")
        assert ended.code == 7
        assert "the old recipients can still decrypt them" in ended.error["message"]
        # The bundle that was replaced is still there: nothing else is done before that is out of the way.
        again = many.run("keys", "rotate", "--points", "--yes", "--json")
        assert again.code == 7
        assert "what an earlier run replaced" in again.error["message"]
        result = many.ask("backup")
        assert result["status"] == "sealed"
        assert any("an earlier run has left something that was not removed" in w for w in result["warnings"])
    assert json.loads(incomplete)[0]["id"] in many.restic("list", "snapshots")


def new_recipient() -> str:
    return str(pyrage.x25519.Identity.generate().to_public())


def test_what_another_seal_says_of_a_point_removes_nothing(many: Drkit, tmp_path: Path) -> None:
    """Whoever can write to the repository can store a seal that tells of every other point what they like."""
    newest, proven, oldest = many.sealed()
    seals = json.loads(many.restic("snapshots", "--tag", "drkit:manifest", "--json"))
    lines = []
    for seal in seals:
        told = json.loads(many.restic("dump", seal["id"], "/manifest.json"))
        # As if the newest were of the last century, and the oldest of tomorrow.
        year = {newest: "1999", oldest: "2026"}.get(told["id"], told["consistent_at"][:4])
        told["consistent_at"] = year + told["consistent_at"][4:]
        lines.append(f'{{"tree":"{seal["tree"]}","manifest":{json.dumps(told)}}}\n')
    history = tmp_path / "history.jsonl"
    history.write_text("".join(lines))
    site = next(tag for tag in seals[0]["tags"] if tag.startswith("drkit:site:"))
    tags = f"{site},drkit:point:20990101-000000-aaaaaa,drkit:manifest"
    into = ("--tag", tags, "--stdin-filename", history.name, "--stdin-from-command")
    many.restic("backup", *into, "--", "cat", str(history))
    shutil.rmtree(many.state / "catalog")
    assert [point["id"] for point in many.points() if (point["consistent_at"] or "")[:4] == "1999"] == [
        newest
    ]
    keep(many, keep_last=1)
    decisions = {line["point"]: line["keep"] for line in many.ask("expire")["decisions"]}
    assert decisions == {newest: True, proven: True, oldest: False}
    assert many.sealed() == [newest, proven]
    # What was read of each itself is believed from then on.
    assert all((point["consistent_at"] or "")[:4] != "1999" for point in many.points())
