"""What layouts on disk have and need: by their indexes and manifests, each repository by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drkit.blobs.layouts import on_disk
from drkit.blobs.layouts.spool import Gap, LayoutSpool
from drkit.registry.image_list import Listed
from tests import layouts, plain
from tests.layouts import Layouts

GONE = "sha256:" + "1" * 64


@pytest.fixture
def tree(tmp_path: Path) -> Layouts:
    return Layouts(tmp_path / "root")


@pytest.fixture
def look(tmp_path: Path) -> Iterator[LayoutSpool]:
    """A spool that a test fills."""
    spool = LayoutSpool(tmp_path / "spool.db")
    yield spool
    spool.close()


def test_what_zot_has_made_is_whole(tmp_path: Path, look: LayoutSpool) -> None:
    on_disk.fill(look, layouts.unpack(tmp_path))
    assert (list(look.gaps()), list(look.spare()), look.faults.count) == ([], [], 0)
    assert (look.needed, look.manifests) == (16, 8)
    assert [(repository, tag) for repository, tag, _ in look.tags()] == [
        (repository, tag) for repository in layouts.REPOSITORIES for tag in layouts.TAGS
    ]
    signed = [each for each in look.images() if each.kind == "accessory"]
    assert {each.subject for each in signed} == {each.digest for each in look.images() if each.tag == "v1"}


def test_a_blob_is_needed_where_its_manifest_is(tree: Layouts, look: LayoutSpool) -> None:
    layer = b"a layer that both have"
    image = tree.image("app", "v1", layer)
    tree.image("other", "v1", layer)
    tree.blob_path("app", plain.sha256(layer)).unlink()
    on_disk.fill(look, tree.root)
    (gap,) = look.gaps()
    assert gap == Gap("app", plain.sha256(layer), "blob", image, len(layer), None)


def test_a_blob_of_another_size(tree: Layouts, look: LayoutSpool) -> None:
    tree.image("app", "v1", b"a whole layer")
    tree.blob_path("app", plain.sha256(b"a whole layer")).write_bytes(b"cut")
    on_disk.fill(look, tree.root)
    (gap,) = look.gaps()
    assert (gap.role, gap.size, gap.stored) == ("blob", 13, 3)


def test_children_that_are_not_there_and_what_children_need(tree: Layouts, look: LayoutSpool) -> None:
    child = tree.image("app", "", b"of a child")
    entries = [{"mediaType": plain.IMAGE, "digest": digest, "size": 7} for digest in (child, GONE)]
    entries[0]["size"] = tree.blob_path("app", child).stat().st_size
    index = tree.push("app", "v1", manifests=entries)
    # Only by the index is the child known.
    tree.write_index("app", tree.entries("app")[1:])
    tree.blob_path("app", plain.sha256(b"of a child")).unlink()
    on_disk.fill(look, tree.root)
    roles = {gap.digest: (gap.role, gap.by) for gap in look.gaps()}
    assert roles == {GONE: ("child", index), plain.sha256(b"of a child"): ("blob", child)}
    needed = dict(look.digests(gap for gap in list(look.gaps()) if gap.role == "child"))
    assert GONE not in needed
    assert {index, child, plain.sha256(b"of a child")} <= set(needed)


def test_a_tag_without_its_manifest(tree: Layouts, look: LayoutSpool) -> None:
    image = tree.image("app", "v1", b"a layer")
    tree.blob_path("app", image).unlink()
    on_disk.fill(look, tree.root)
    assert [(gap.role, gap.digest) for gap in look.gaps()] == [("manifest", image)]
    assert list(look.images()) == [Listed("app", "v1", image)]
    assert {digest for _, digest, _ in look.spare()} == {
        plain.sha256(b"a layer"),
        plain.sha256(b'{"architecture": "amd64"}'),
    }


@pytest.mark.parametrize("data", [b"", b'{"manifests": [', b"no JSON"])
def test_an_index_that_cannot_be_read_is_a_fault(tree: Layouts, look: LayoutSpool, data: bytes) -> None:
    tree.image("app", "v1", b"a layer")
    tree.index("app").write_bytes(data)
    on_disk.fill(look, tree.root)
    assert look.faults.first == ("index.json of app: it is no index of images",)


def test_a_manifest_with_other_bytes_is_a_fault(tree: Layouts, look: LayoutSpool) -> None:
    image = tree.image("app", "v1", b"a layer")
    path = tree.blob_path("app", image)
    path.write_bytes(path.read_bytes().replace(b"schemaVersion", b"schemaversion"))
    on_disk.fill(look, tree.root)
    assert look.faults.first == (f"app: the bytes of the manifest {image} are not what its name says",)


def test_a_layer_that_is_a_manifest_elsewhere_is_read_as_one(tree: Layouts, look: LayoutSpool) -> None:
    child = tree.image("app", "", b"a layer")
    data = tree.blob_path("app", child).read_bytes()
    tree.push("app", "a", layers=[plain.entry(plain.LAYER, data)])
    tree.push("app", "b", manifests=[plain.entry(plain.IMAGE, data)])
    tree.write_index("app", [each for each in tree.entries("app") if "annotations" in each])
    on_disk.fill(look, tree.root)
    assert (list(look.gaps()), look.manifests) == ([], 3)
