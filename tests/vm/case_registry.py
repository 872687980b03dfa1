"""Backups by the command line of a registry that is pushed to, on each ground that has a way of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import processes
from tests.e2e.commands import Drkit, finish
from tests.e2e.test_killed import kill_at
from tests.vm.grounds import KINDS
from tests.vm.standing import Registry, registry_on


@pytest.fixture(scope="module", params=["classic-ext4", "thin-xfs", "children", "zvol-ext4"])
def standing(request: pytest.FixtureRequest, place: Path, prepared: Drkit) -> Iterator[Registry]:
    """A registry on each of them, one after the other."""
    with (
        KINDS[request.param](place / f"backup-{request.param}") as ground,
        registry_on(ground, place, prepared) as made,
    ):
        yield made


def test_killed_and_then_pushed_to_while_it_is_read(standing: Registry) -> None:
    drkit = standing.drkit()
    kill_at(standing.frozen(drkit), "backup")
    assert processes.survivors(drkit.home) == []
    processes.bury()
    assert standing.ground.snapshots()
    # Not on the disk yet: a snapshot without it would lack what the registry has said that it has.
    standing.push(100)
    gate = standing.frozen(drkit)
    process = gate.drkit.start("backup", "--json")
    gate.wait(process)
    standing.push(101)
    gate.open()
    result = finish(process).result
    assert (result["status"], result["attempts"], result["warnings"]) == ("sealed", 1, [])
    assert result["volume"]["kind"] == standing.ground.kind
    swept = " / ".join(result["swept"])
    assert f"removed the {standing.ground.kind} snapshot drkit-registry.example.test-" in swept
    assert standing.tags(drkit, result) == {"v0", "v1", "v2", "v3", "v4", "v100"}
    assert result["closure"]["referenced"] == result["closure"]["present"] > 15
    standing.nothing_left(drkit)
