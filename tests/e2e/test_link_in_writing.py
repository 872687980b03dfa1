"""A registry writes links in place: one that is read in that moment is empty, and is read again."""

from __future__ import annotations

import json

import pytest

from testenv import Site, damage
from tests.e2e import gates
from tests.e2e.commands import Drkit, finish
from tests.e2e.test_bad_input import only


@pytest.mark.parametrize("sources", [("database", "blobs"), ("blobs",)])
def test_it_is_read_again(fresh: Drkit, site: Site, sources: tuple[str, ...]) -> None:
    fresh.change(only(*sources))
    repository, image = damage.images_of(site)[0]
    revisions = site.blobs / "docker/registry/v2/repositories" / repository / "_manifests/revisions"
    link = revisions / image.replace(":", "/") / "link"
    link.write_bytes(b"")
    # It is read, and what was captured is about to be looked at.
    gate = gates.before(fresh, " ls --json ")
    process = gate.drkit.start("backup", "--json")
    try:
        gate.wait(process)
    finally:
        link.write_text(image)
        gate.open()
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
