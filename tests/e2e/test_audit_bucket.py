"""`drkit audit` of a registry whose images are in a bucket, and single blobs that come back into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import testenv
from testenv import Site, buckets, damage
from testenv.buckets import Storage
from tests.e2e import bucketed
from tests.e2e.commands import Drkit

_NAME = "library/to-be-audited"


@pytest.fixture
def backed_up(
    bucket_site: Site, bucket_empty: Drkit, new_home: Callable[[], Path]
) -> Iterator[tuple[Drkit, str, list[str]]]:
    """A drkit with a point, and in that an image and its layers; the image is whole again afterwards."""
    drkit, vault = bucketed.with_own_vault(bucket_empty, bucket_site, new_home())
    payloads = [b"1" * 100, b"2" * 100, b"3" * 100]
    digest = testenv.push_image(bucket_site, "library", "to-be-audited", "v1", payloads)
    layers = damage.layers_of(bucket_site, digest)
    drkit.ask("backup")
    images = bucketed.images(bucket_site)
    before = {name: buckets.get(images, name) for name in map(damage.blob_name, layers)}
    yield drkit, digest, layers
    for name, content in before.items():
        buckets.put(images, name, content)
        for aside in list(buckets.names(images, f"{name}.before-")):
            buckets.remove(images, aside)
    buckets.unmake(vault)


def aside(images: Storage, digest: str) -> list[str]:
    return [name for name in buckets.names(images, damage.blob_name(digest)) if ".before-" in name]


def test_blobs_links_and_what_nothing_refers_to(
    backed_up: tuple[Drkit, str, list[str]], bucket_site: Site
) -> None:
    drkit, _digest, (flipped, gone, cut) = backed_up
    images = bucketed.images(bucket_site)
    whole = drkit.ask("audit", "--read-data-subset", "100%")
    assert (whole["counts"], whole["read"]) == ({}, whole["referenced"])
    stored = buckets.names(images, "docker/registry/v2/blobs")
    assert whole["stored"] == len(stored)

    link = f"docker/registry/v2/repositories/{_NAME}/_layers/sha256/{flipped[7:]}/link"
    held = buckets.get(images, link)
    orphan = damage.orphan_blob(bucket_site)
    damage.flip_byte(bucket_site, flipped, at=30)
    damage.remove_blob(bucket_site, gone)
    damage.truncate_blob(bucket_site, cut)
    damage.empty_link(bucket_site, _NAME, flipped)
    try:
        ended = drkit.run("audit", "--read-data-subset", "100%", "--json")
        assert (ended.code, ended.error["kind"]) == (5, "not_green")
        found = ended.envelope["result"]
        assert found["counts"] == {"missing": 1, "wrong_size": 1, "wrong_bytes": 1, "bad_link": 1}
        said = {fault["kind"]: (fault["said"], fault["project"]) for fault in found["faults"]}
        assert said["missing"] == (gone, "library")
        assert said["bad_link"] == (link, "library")
        assert flipped in said["wrong_bytes"][0]
        assert cut in said["wrong_size"][0]
        nowhere = next(project for project in found["projects"] if project["name"] == "")
        assert nowhere["unreferenced"] == 1
    finally:
        buckets.put(images, link, held)
        buckets.remove(images, damage.blob_name(orphan))

    result = drkit.ask("audit", "--read-data-subset", "100%", "--repair", "latest", "--yes")
    assert (result["counts"], result["repair"]["put"], result["repair"]["already"]) == ({}, 3, 0)
    assert len(aside(images, flipped)) == len(aside(images, cut)) == 1
    assert aside(images, gone) == []
    assert drkit.ask("audit", "--read-data-subset", "100%")["counts"] == {}
