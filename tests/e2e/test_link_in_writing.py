"""A registry writes links in place: one that is read in that moment is empty, and is read again."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from testenv import Site, damage
from tests.e2e.commands import Drkit, finish, wait_for
from tests.e2e.test_bad_input import only


def lists(pid: int) -> bool:
    """Whether a process looks at what is in a snapshot: asked of its own children, which is quick."""
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                if b"\0ls\0" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return True
    return False


@pytest.mark.parametrize("sources", [("database", "blobs"), ("blobs",)])
def test_it_is_read_again(fresh: Drkit, site: Site, sources: tuple[str, ...]) -> None:
    fresh.change(only(*sources))
    repository, image = damage.images_of(site)[0]
    revisions = site.blobs / "docker/registry/v2/repositories" / repository / "_manifests/revisions"
    link = revisions / image.replace(":", "/") / "link"
    link.write_bytes(b"")
    process = fresh.start("backup", "--json")
    try:
        wait_for(lambda: lists(process.pid) or process.poll() is not None, "what was captured is looked at")
    finally:
        link.write_text(image)
        result = finish(process).result
    assert result["warnings"] == []
    assert result["closure"]["links"]["bad"] == 0
    stored = json.loads(fresh.restic("snapshots", "--json", "--no-lock"))
    kinds = [tag for snapshot in stored for tag in snapshot["tags"] if tag.startswith("drkit:part:")]
    wanted = {f"drkit:part:{part['kind']}:{part['name']}" for part in result["parts"]}
    assert len(kinds) == len(set(kinds)) == len(sources), "the torn one is gone"
    assert set(kinds) < wanted, "the others are in the seal"
    blobs = next(part["snapshot"] for part in result["parts"] if part["kind"] == "blobs")
    assert fresh.restic("dump", blobs, str(link)) == image


def test_one_that_stays_empty_is_told(fresh: Drkit, site: Site) -> None:
    """That is production's damage, and no reason to have no backup."""
    fresh.change(only("database", "blobs"))
    repository, image = damage.images_of(site)[0]
    revisions = site.blobs / "docker/registry/v2/repositories" / repository / "_manifests/revisions"
    link = revisions / image.replace(":", "/") / "link"
    link.write_bytes(b"")
    try:
        result = fresh.ask("backup")
    finally:
        link.write_text(image)
    assert (result["status"], result["closure"]["links"]["bad"]) == ("sealed", 1)
    assert str(link.relative_to(site.blobs)) in " ".join(result["warnings"])
