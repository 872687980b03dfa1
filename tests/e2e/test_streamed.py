"""Where no disk can hold the images, a full drill reads them as a stream, and proves as much."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from testenv import Site, damage
from tests.e2e import gates, processes
from tests.e2e.commands import Drkit, assert_says, wait_for
from tests.e2e.test_bad_input import only
from tests.e2e.test_drill_fails import detail, failed_drill, largest_pack, put_back, two_layers
from tests.e2e.test_killed import kill_at, nothing_survives

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a drill counts for a database with nothing in it.
_EMPTY = 64 << 20


@contextmanager
def without_room_for_images(drkit: Drkit, place: Path) -> Iterator[Path]:
    """The sandbox's directory on a disk that holds the database and half of the images."""
    parts = drkit.ask("show", "latest")["parts"]
    database = sum(_EMPTY + 2 * part["bytes"] for part in parts if part["kind"] == "database")
    images = sum(part["bytes"] for part in parts if part["kind"] in ("blobs", "inventory"))
    where = place / "narrow"
    where.mkdir()
    size = database + images // 2
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0711", "tmpfs", where], check=True)
    try:
        drkit.change(lambda document: document.setdefault("drill", {}).update(directory=str(where)))
        yield where
        assert list(where.iterdir()) == [], "nothing is left"
    finally:
        subprocess.run(["umount", where], check=True)
        where.rmdir()
        drkit.change(lambda document: document["drill"].pop("directory"))


def test_it_passes_and_says_so_also_after_a_kill(copy: Drkit, place: Path, root_only: None) -> None:
    with without_room_for_images(copy, place) as narrow:
        kill_at(gates.registry_serves(copy), "drill")
        (left,) = (path.name for path in narrow.iterdir() if path.suffix != ".cache")
        nothing_survives(copy)
        result = copy.ask("drill")
        assert (result["outcome"], result["streamed"]) == ("passed", True)
        assert f"removed the sandbox that the killed drill {left} left" in result["problems"]
        said = {one["subject"]: one["said"] for one in result["unproved"]}
        assert "was not measured" in said["Restoring the images to a disk"]
        assert "the images were not restored to a disk" in Path(result["report"]).read_text()
        assert result["recovery_time_seconds"] is None
        assert "rto" not in [objective["name"] for objective in result["objectives"]]
        assert {"mount the repository", "read blobs"} <= {stage["name"] for stage in result["stages"]}
        assert all(control["caught"] for control in result["controls"])
        assert result["unplanted"] == []
    assert processes.survivors(copy.home) == []


def test_a_mount_that_ends_says_nothing_against_the_point(copy: Drkit, place: Path, root_only: None) -> None:
    with without_room_for_images(copy, place) as narrow:

        def found(program: str) -> list[int]:
            ours = (each for each in processes.everybody() if str(narrow) in " ".join(each.words))
            return [each.pid for each in ours if each.program == program]

        gate = gates.server_ready(copy)
        process = gate.drkit.start("drill", "--json")
        try:
            gate.wait(process)
            wait_for(lambda: bool(found("docker-registry")), "the registry is started")
            (mount,) = found("restic")
            os.kill(mount, signal.SIGKILL)
            gate.open()
            said, _ = process.communicate()
        finally:
            process.kill()
            process.communicate()
        result = json.loads(said)["result"]
        assert (process.returncode, result["outcome"]) == (6, "error")
        stuck = {check["name"]: check["detail"] for check in result["checks"] if check["outcome"] == "error"}
        assert "restic's mount of the repository has ended" in stuck["tags can be pulled"]
        assert [check["name"] for check in result["checks"] if check["outcome"] == "failed"] == []
    assert processes.survivors(copy.home) == []


def test_a_flipped_byte_is_found_in_the_stream(
    fresh: Drkit, site: Site, place: Path, root_only: None
) -> None:
    digest, _ = two_layers(site)
    with put_back(damage.blob_path(site, digest)):
        damage.flip_byte(site, digest, at=20)
        fresh.change(only("database", "blobs"))
        fresh.ask("backup")
    with without_room_for_images(fresh, place):
        ended = failed_drill(fresh, "tags can be pulled", "blobs hash to their names")
        assert ended.envelope["result"]["streamed"]
    assert f"the bytes of {digest} hash to sha256:" in detail(ended, "blobs hash to their names")


def test_a_damaged_pack_is_told_in_one_sentence(copy: Drkit, place: Path, root_only: None) -> None:
    pack = largest_pack(copy)
    pack.chmod(0o600)
    with without_room_for_images(copy, place):
        pack.write_bytes(bytes(pack.stat().st_size))
        ended = copy.run("drill", "--json")
    assert (ended.code, ended.envelope["result"]["streamed"]) == (6, True)
    assert_says(
        detail(ended, "restore of images"),
        r"sha256:[0-9a-f]{64} cannot be read from the repository: restic failed with exit code 1: cannot dump"
        r" file: decrypting blob \S+ from \w+ failed: nonce is invalid; run"
        r" `drkit verify --read-data-subset 100%`, which names all that is damaged there",
    )
    assert detail(ended, "tables of registry").endswith("content identical")
