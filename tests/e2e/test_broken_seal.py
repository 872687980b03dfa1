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
        damaged: "unreadable",
        drilled.point: "sealed",
    }
    assert copy.ask("show", drilled.point)["id"] == drilled.point
    error = copy.run("show", "latest", "--json").error
    assert f"which recovery point is the newest: point {damaged} cannot be read: its man" in error["message"]
    assert drilled.point in error["hint"]
    red = copy.run("status", "--json")
    assert (red.code, red.error["kind"]) == (5, "not_green")
    assert f"point {damaged} cannot be read: its manifest" in red.error["message"]

    shutil.rmtree(copy.state / "cache")
    assert copy.run("backup", "--json").code == 3, "a pack of the repository is damaged"
    copy.restic("repair", "index")
    newer = copy.ask("backup")
    assert not any(damaged in said for said in newer["swept"])
    assert damaged in [point["id"] for point in copy.points()], "mended, it may be worth something"
    assert copy.sealed() == [newer["id"], drilled.point]


def test_a_part_that_somebody_has_removed(copy: Drkit, drilled: Drilled) -> None:
    """The repository is sound, as restic sees it, and the point is worth nothing."""
    (part,) = json.loads(copy.restic("snapshots", "--json", "--tag", "drkit:part:database:registry"))
    copy.restic("forget", part["id"])
    gone = "a part of it is not in the repository any more: database registry"
    error = copy.run("verify", "--json").error
    assert error["message"] == (
        f"1 recovery points cannot be used: point {drilled.point} was sealed, but {gone}"
    )
    assert copy.run("drill", "--json").error["kind"] == "no_such_point"
    missed = copy.run("status", "--json")
    assert missed.code == 5
    assert f"point {drilled.point} was sealed, but {gone}" in missed.envelope["result"]["problems"]


def test_a_proof_that_cannot_be_read_lets_nothing_expire(copy: Drkit) -> None:
    every = json.loads(copy.restic("snapshots", "--json"))
    (report,) = [each for each in every if any(tag.startswith("drkit:drill:") for tag in each["tags"])]
    _empty(copy, report["id"], "drill.json")
    shutil.rmtree(copy.state / "catalog")
    shutil.rmtree(copy.state / "cache")
    (point,) = copy.points()
    assert (point["status"], point["last_drill"]) == ("sealed", None)
    error = copy.run("expire", "--json").error
    assert error["kind"] == "tool_failed"
    assert error["message"].startswith("the report of drill ")


def _damage(drkit: Drkit, point: str) -> None:
    """Damage what the repository has of a point's manifest."""
    (seal,) = json.loads(drkit.restic("snapshots", "--json", "--tag", f"drkit:point:{point},drkit:manifest"))
    _empty(drkit, seal["id"], "manifest.json")


def _empty(drkit: Drkit, snapshot: str, name: str) -> None:
    """Empty the file of the repository that holds a file of a snapshot."""
    tree = json.loads(drkit.restic("cat", "tree", f"{snapshot}:/"))
    (content,) = next(node["content"] for node in tree["nodes"] if node["name"] == name)
    pack = re.search(r"[Pp]ack ([0-9a-f]{64})", drkit.restic("find", "--blob", content, "--show-pack-id"))
    assert pack
    (drkit.repository / "data" / pack[1][:2] / pack[1]).write_bytes(b"")
