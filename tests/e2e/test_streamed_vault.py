"""Where no disk can hold the images of a vault, a full drill streams them, and proves as much."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from testenv import Site, buckets, damage
from testenv.buckets import Storage
from testenv.s3_faults import Fault, Proxy, Request
from tests.e2e import bucketed, gates, processes
from tests.e2e.commands import Drkit
from tests.e2e.test_bad_input import only
from tests.e2e.test_drill_fails import detail
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
    yield Stored(drkit, vault, big)
    damage.remove_blob(bucket_site, big)
    shutil.rmtree(drkit.home)
    buckets.unmake(vault)


@pytest.fixture(scope="module")
def images_alone(stored: Stored) -> Stored:
    """The same with a newer point, of the images alone: drilled in a moment."""
    stored.drkit.change(only("blobs"))
    stored.drkit.ask("backup")
    return stored


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


def test_a_vault_that_is_lost_says_nothing_against_the_point(images_alone: Stored, place: Path) -> None:
    """It is there as long as blobs are read for the first time, and not when the registry reads one again."""
    seen = Counter[str]()

    def once(request: Request) -> Fault | None:
        if request.method != "GET" or "/blobs/" not in request.path or request.lists:
            return None
        seen[request.path] += 1
        # Not a connection that breaks: it would be tried again for a long time.
        return Fault(error=(403, "ExpiredToken")) if seen[request.path] > 1 else None

    drkit, vault = images_alone.drkit, images_alone.vault
    with without_room_for_images(drkit, place), Proxy(vault.endpoint) as proxy:
        proxy.plan = once
        drkit.change(lambda document: document["vault"].update(endpoint=proxy.endpoint))
        ended = drkit.run("drill", "--json")
        drkit.change(lambda document: document["vault"].update(endpoint=vault.endpoint))
    result = ended.envelope["result"]
    assert (ended.code, result["outcome"], result["streamed"]) == (6, "error", True)
    outcomes = {check["name"]: check["outcome"] for check in result["checks"]}
    assert outcomes["blobs from the vault"] == "passed"
    assert outcomes["tags can be pulled"] == "error"
    assert "failed" not in outcomes.values()
    assert processes.survivors(drkit.home) == []


def test_damage_has_the_same_verdicts_as_on_a_disk(images_alone: Stored, place: Path) -> None:
    """Bytes that are others, too few, or gone; and right ones in another version than the inventory names."""
    drkit, vault = images_alone.drkit, images_alone.vault
    layers = (name for name in sorted(buckets.names(vault, "docker")) if is_small_layer(vault, name))
    flipped, cut, gone, again = islice(layers, 4)
    spoil(vault, flipped, lambda data: b"x" + data[1:])
    spoil(vault, cut, lambda data: data[:9])
    spoil(vault, gone, None)
    spoil(vault, again, lambda data: data)

    def verdicts() -> tuple[dict[str, str], list[str]]:
        ended = drkit.run("drill", "--json")
        assert ended.code == 5, ended
        result = ended.envelope["result"]
        assert all(control["caught"] for control in result["controls"])
        # They are told in the order in which threads come upon them.
        faults = sorted(re.findall(r"[^\s;]+", detail(ended, "blobs from the vault")))
        return {check["name"]: check["outcome"] for check in result["checks"]}, faults

    on_disk = verdicts()
    with without_room_for_images(drkit, place):
        assert verdicts() == on_disk
    failed = {name for name, outcome in on_disk[0].items() if outcome == "failed"}
    assert failed == {"blobs from the vault", "tags can be pulled", "closure", "manifests resolve"}
    assert "error" not in on_disk[0].values()


def is_small_layer(vault: Storage, name: str) -> bool:
    """Whether it is no manifest or configuration."""
    content = buckets.get(vault, name)
    return 9 < len(content) < 1 << 20 and not content.startswith(b"{")


def spoil(vault: Storage, name: str, change: Callable[[bytes], bytes] | None) -> None:
    """Take a blob out of the vault with all its versions; what is made of it comes in its place."""
    content = buckets.get(vault, name)
    s3 = buckets.client(vault)
    for key, version, _ in buckets.versions(vault):
        if key == vault.key(name):
            s3.delete_object(Bucket=vault.bucket, Key=key, VersionId=version)
    if change is not None:
        buckets.put(vault, name, change(content))
