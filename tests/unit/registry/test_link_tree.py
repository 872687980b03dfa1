"""Links of a storage tree, by walking it and by their names alone."""

from __future__ import annotations

from pathlib import Path

from drkit.registry import link_tree
from drkit.registry.link_tree import LinkFile
from drkit.registry.storage import REPOSITORIES

HEX = "ab" * 32
LINKS = {
    f"app/_layers/sha256/{HEX}/link": ("app", "layer", f"sha256:{HEX}", ""),
    f"a/b/c/_layers/sha512/{HEX}/link": ("a/b/c", "layer", f"sha512:{HEX}", ""),
    f"a/b/_manifests/revisions/sha256/{HEX}/link": ("a/b", "revision", f"sha256:{HEX}", ""),
    "a/b/_manifests/tags/_uploads/current/link": ("a/b", "tag", "", "_uploads"),
    f"a/b/_manifests/tags/v1/index/sha256/{HEX}/link": ("a/b", "index", f"sha256:{HEX}", "v1"),
}
OTHERS = ("a/_uploads/1/startedat", f"a/_uploads/1/_layers/sha256/{HEX}/link", "a/b/README", "a/_layers/link")


def tree(root: Path) -> None:
    for name in (*LINKS, *OTHERS):
        path = root / REPOSITORIES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("sha256:" + HEX)


def wanted() -> set[LinkFile]:
    return {
        LinkFile(f"{REPOSITORIES}/{name}", repository, kind, digest, tag, link_tree.LENGTH)  # type: ignore[arg-type]
        for name, (repository, kind, digest, tag) in LINKS.items()
    }


def test_every_link_is_found_and_nothing_else(tmp_path: Path) -> None:
    tree(tmp_path)
    found = list(link_tree.walk(tmp_path))
    assert len(found) == len(LINKS)
    assert set(found) == wanted()
    assert {file.project for file in found} == {"app", "a"}


def test_names_tell_the_same() -> None:
    names = [f"{REPOSITORIES}/{name}" for name in (*LINKS, *OTHERS)]
    assert {file for name in names if (file := link_tree.parse(name, link_tree.LENGTH))} == wanted()


def test_a_registry_that_has_nothing_has_no_links(tmp_path: Path) -> None:
    assert list(link_tree.walk(tmp_path)) == []
