"""Where no disk can hold the images of a vault, a full drill streams them, and proves as much."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testenv import Site, buckets, damage
from testenv.buckets import Storage
from tests.e2e import bucketed, gates, processes
from tests.e2e.commands import Drkit
from tests.e2e.test_killed import kill_at, nothing_survives
from tests.e2e.test_streamed import without_room_for_images

# Half of it is what a narrow disk lacks, so that no other file of a drill matters.
_BIG = 24 << 20


@dataclass(frozen=True)
class Stored:
    """A drkit with one point, its vault, and a large blob in it."""

    drkit: Drkit
    vault: Storage
    big: str


@pytest.fixture(scope="module")
def stored(
    bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path], root_only: None
) -> Iterator[Stored]:
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home())
    big = damage.orphan_blob(bucket_site, bytes(_BIG))
    drkit.ask("backup")
    damage.remove_blob(bucket_site, big)
    yield Stored(drkit, vault, big)
    shutil.rmtree(drkit.home)
    buckets.unmake(vault)


def test_it_passes_and_says_so_also_after_a_kill(stored: Stored, place: Path) -> None:
    drkit = stored.drkit
    with without_room_for_images(drkit, place) as narrow:
        kill_at(gates.registry_serves(drkit), "drill")
        (left,) = (path.name for path in narrow.iterdir() if path.suffix != ".cache")
        nothing_survives(drkit)
        result = drkit.ask("drill")
        assert (result["outcome"], result["streamed"]) == ("passed", True)
        assert f"removed the sandbox that the killed drill {left} left" in result["problems"]
        said = {one["subject"]: one["said"] for one in result["unproved"]}
        assert "read from the vault once, as a stream" in said["Restoring the images to a disk"]
        assert result["recovery_time_seconds"] is None
        assert "rto" not in [objective["name"] for objective in result["objectives"]]
        assert {"open the vault", "read blobs"} <= {stage["name"] for stage in result["stages"]}
        assert all(control["caught"] for control in result["controls"])
        assert result["unplanted"] == []
    assert processes.survivors(drkit.home) == []
