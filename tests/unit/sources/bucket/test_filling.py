"""What is still to be put into a bucket, and in which order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from drkit.sources.bucket import links_archive
from drkit.sources.bucket.filling import Census, _absent, _stage, _with_presence
from drkit.sources.bucket.inventory import Entry
from drkit.sources.bucket.links_archive import Link
from drkit.tools.s3 import Object

TOP = "docker/registry/v2/repositories"
NAMES = [
    f"{TOP}/{repository}/{kind}/link"
    for repository in ("a", "a-b", "a/b", "a.b", "z")
    for kind in ("_layers/sha256/1", "_manifests/revisions/sha256/1", "_manifests/tags/v1/current")
]
SORTED = sorted(NAMES, key=links_archive.sort_key)


def listed(name: str, size: int = 4) -> Object:
    return Object(f"root/{name}", size, "", "")


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_links_that_are_not_there(wanted: set[str], there: set[str]) -> None:
    links = [Link(name, b"held", 0) for name in SORTED if name in wanted]
    objects = iter([listed(name) for name in SORTED if name in there])
    assert {link.name for link in _absent(links, objects, "root/")} == wanted - there


@given(st.permutations(NAMES), st.sets(st.sampled_from(NAMES)))
def test_links_in_another_order_are_put_again_rather_than_left_out(names: list[str], there: set[str]) -> None:
    objects = iter([listed(name) for name in SORTED if name in there])
    found = {link.name for link in _absent([Link(n, b"held", 0) for n in names], objects, "root/")}
    assert found >= set(NAMES) - there


def test_a_link_of_another_length_is_put_again() -> None:
    assert list(_absent([Link(SORTED[0], b"held", 0)], iter([listed(SORTED[0], 3)]), "root/"))


def test_layers_come_before_revisions_and_these_before_tags() -> None:
    order = [_stage(name) for name in NAMES[:3]]
    assert order == [0, 1, 2]
    # A repository may be called like anything.
    assert _stage(f"{TOP}/x/_manifests/tags/_layers/index/sha256/1/link") == 2


def test_only_what_is_there_at_its_size_is_kept() -> None:
    entries = [Entry(f"sha256:{letter}", "", 5) for letter in "abcd"]
    present = iter([("sha256:0", 5), ("sha256:a", 5), ("sha256:b", 4), ("sha256:d", 5)])
    assert [there for _, there in _with_presence(entries, present)] == [True, False, False, True]


@given(st.permutations([(name, number) for number, name in enumerate(NAMES)]))
def test_a_census_knows_no_order(links: list[tuple[str, int]]) -> None:
    assert Census.of(links) == Census.of((name, number) for number, name in enumerate(NAMES))
    assert Census.of(links[1:]) != Census.of(links)
    assert Census.of([(links[0][0], 99), *links[1:]]) != Census.of(links)
    assert Census.of([*links, links[0]]) != Census.of(links)
