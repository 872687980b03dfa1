"""Links read back sorted by digest, with the projects that have them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from drkit.blobs.link_index import LinkIndex
from drkit.registry.link_tree import Kind, LinkFile


def link(repository: str, digest: str, kind: Kind = "layer") -> LinkFile:
    return LinkFile("", repository, kind, digest, "", 71)


def test_links_in_any_order(tmp_path: Path) -> None:
    one, two, three = (f"sha256:{digit * 64}" for digit in "159")
    with closing(LinkIndex(tmp_path / "links.db")) as index:
        for repository, digest in (("b/x", three), ("a/x", one), ("a/y", one), ("b/x", one), ("a/x", two)):
            index.add(link(repository, digest), digest)
        index.add(link("b/y", two, "revision"), two)
        index.add(link("a/y", three, "revision"), three)
        named = list(index.named())
        assert {digest: set(projects) for digest, projects in named} == {
            one: {"a", "b"},
            two: {"a", "b"},
            three: {"a", "b"},
        }
        assert all(len(projects) == 2 for _, projects in named)
        assert [digest for digest, _ in named] == [one, two, three]
        assert list(index.revisions()) == [("a/y", three), ("b/y", two)]
        assert list(index.layers()) == [
            ("a/x", one),
            ("a/x", two),
            ("a/y", one),
            ("b/x", one),
            ("b/x", three),
        ]


def test_a_layer_that_is_linked_by_another_algorithm_has_no_link_by_its_sha256(tmp_path: Path) -> None:
    digest = f"sha256:{'1' * 64}"
    with closing(LinkIndex(tmp_path / "links.db")) as index:
        index.add(link("a/x", f"sha512:{'2' * 128}"), digest)
        assert list(index.layers()) == []
        assert list(index.named()) == [(digest, ("a",))]
