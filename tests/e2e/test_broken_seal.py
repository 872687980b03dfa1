"""Points that were sealed and whose manifest cannot be had: never swept away, and never in others' way."""

from __future__ import annotations

import json
import re
import shutil

from tests.e2e.commands import Drkit
from tests.e2e.conftest import Drilled


def test_an_emptied_copy_of_a_manifest_says_nothing(copy: Drkit, drilled: Drilled) -> None:
    """A power cut may leave it so: what counts is in the repository."""
    for kept in (copy.state / "catalog" / "primary").iterdir():
        kept.write_bytes(b"")
    (before,) = copy.points()
    assert (before["status"], before["last_drill"]["outcome"]) == ("sealed", "passed")
    for kept in (copy.state / "catalog" / "primary").iterdir():
        kept.write_bytes(b"")
    made = copy.ask("backup")
    assert made["swept"] == []
    assert copy.sealed() == [made["id"], drilled.point]


def test_a_damaged_manifest_costs_its_own_point_alone(copy: Drkit, drilled: Drilled) -> None:
    damaged = copy.ask("backup")["id"]
    _damage(copy, damaged)
    shutil.rmtree(copy.state / "catalog")  # as on a machine that has burned
    shutil.rmtree(copy.state / "cache")
    assert {point["id"]: point["status"] for point in copy.points()} == {
        damaged: "incomplete",
        drilled.point: "sealed",
    }
    assert copy.ask("show", drilled.point)["id"] == drilled.point
    error = copy.run("show", "latest", "--json").error
    assert error["message"].startswith(f"the newest recovery point, {damaged}, was sealed, but its manifest")
    assert drilled.point in error["hint"]
    problems = copy.ask("status")["problems"]
    assert any(f"point {damaged} was sealed, but its manifest" in problem for problem in problems)

    shutil.rmtree(copy.state / "cache")
    newer = copy.ask("backup")
    assert newer["swept"] == []
    assert damaged in [point["id"] for point in copy.points()], "mended, it may be worth something"
    assert copy.sealed() == [newer["id"], drilled.point]


def _damage(drkit: Drkit, point: str) -> None:
    """Empty the file of the repository that holds a point's manifest."""
    (seal,) = json.loads(drkit.restic("snapshots", "--json", "--tag", f"drkit:point:{point},drkit:manifest"))
    tree = json.loads(drkit.restic("cat", "tree", f"{seal['id']}:/"))
    (content,) = next(node["content"] for node in tree["nodes"] if node["name"] == "manifest.json")
    pack = re.search(r"[Pp]ack ([0-9a-f]{64})", drkit.restic("find", "--blob", content, "--show-pack-id"))
    assert pack
    (drkit.repository / "data" / pack[1][:2] / pack[1]).write_bytes(b"")
