"""What is still to be put into a bucket, and in which order."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from drkit.blobs.bucket import links_archive, links_packing
from drkit.blobs.bucket.cut_off import surplus_names
from drkit.blobs.bucket.filling import absent, stage
from drkit.blobs.bucket.link_checksum import LinkChecksum
from drkit.blobs.bucket.links_archive import Link
from drkit.tools.s3.bucket import Object

TOP = "docker/registry/v2/repositories"
NAMES = [
    f"{TOP}/{repository}/{kind}/link"
    for repository in ("a", "a-b", "a/b", "a.b", "z")
    for kind in ("_layers/sha256/1", "_manifests/revisions/sha256/1", "_manifests/tags/v1/current")
]
SORTED = sorted(NAMES, key=links_archive.sort_key)


def listed(name: str, held: bytes = b"held") -> Object:
    return Object(f"root/{name}", len(held), links_packing.md5(held), "")


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_links_that_are_not_there(wanted: set[str], there: set[str]) -> None:
    links = [Link(name, b"held", 0) for name in SORTED if name in wanted]
    objects = iter([listed(name) for name in SORTED if name in there])
    assert {link.name for link in absent(links, objects, "root/")} == wanted - there


@given(st.permutations(NAMES), st.sets(st.sampled_from(NAMES)))
def test_links_in_another_order_are_put_again_rather_than_left_out(names: list[str], there: set[str]) -> None:
    objects = iter([listed(name) for name in SORTED if name in there])
    found = {link.name for link in absent([Link(n, b"held", 0) for n in names], objects, "root/")}
    assert found >= set(NAMES) - there


def test_a_link_that_holds_something_else_is_put_again() -> None:
    link = Link(SORTED[0], b"held", 0)
    for other in (
        listed(SORTED[0], b"hel"),
        listed(SORTED[0], b"HELD"),
        listed(SORTED[0])._replace(etag="x"),
    ):
        assert list(absent([link], iter([other]), "root/")) == [link]
    assert list(absent([link], iter([listed(SORTED[0])]), "root/")) == []


def test_layers_come_before_revisions_and_these_before_tags() -> None:
    order = [stage(name) for name in NAMES[:3]]
    assert order == [0, 1, 2]
    # A repository may be called like anything.
    assert stage(f"{TOP}/x/_manifests/tags/_layers/index/sha256/1/link") == 2


@given(st.permutations([(name, b"%d" % number) for number, name in enumerate(NAMES)]))
def test_a_census_knows_no_order(links: list[tuple[str, bytes]]) -> None:
    assert LinkChecksum.of(links) == LinkChecksum.of(
        (name, b"%d" % number) for number, name in enumerate(NAMES)
    )
    assert LinkChecksum.of(links[1:]) != LinkChecksum.of(links)
    assert LinkChecksum.of([(links[0][0], b"x"), *links[1:]]) != LinkChecksum.of(links)
    assert LinkChecksum.of([*links, links[0]]) != LinkChecksum.of(links)


@given(st.sets(st.sampled_from(NAMES)), st.permutations(NAMES))
def test_names_that_are_not_wanted(wanted: set[str], there: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        count, first = surplus_names(there, wanted, Path(directory) / "there.db")
    left = set(NAMES) - wanted
    assert (count, first) == (len(left), min(left, default=""))
