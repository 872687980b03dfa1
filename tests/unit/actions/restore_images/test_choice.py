"""What comes back with an image: by the tree of a plain registry, and by the list of a Harbor."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from drkit.actions.restore_images import choice, rename
from drkit.actions.restore_images.choice import Chosen
from drkit.registry import image_list, links, selection, storage
from drkit.registry.image_list import ImageList, Listed
from drkit.registry.ledger import Ledger
from drkit.serving.data import TreeData
from drkit.serving.images import Images
from drkit.serving.names import ListedNames, TreeNames
from tests.unit.serving import trees

REPOSITORY = "library/app"


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Images]:
    ledger = Ledger(tmp_path / "ledger.db")
    yield Images(tmp_path, TreeData(tmp_path), TreeNames(tmp_path), ledger)
    ledger.close()


def image(root: Path, data: bytes, tag: str = "", **more: object) -> str:
    layer = trees.layer(root, REPOSITORY, data)
    return trees.manifest(root, REPOSITORY, tag, layers=[{"digest": layer, "size": len(data)}], **more)


def index(root: Path, tag: str, *children: str) -> str:
    entries = [{"digest": c, "size": 1, "mediaType": trees.IMAGE} for c in children]
    return trees.manifest(root, REPOSITORY, tag, manifests=entries)


def chosen(images: Images, pattern: str, *renames: str, by_list: bool = False) -> list[Chosen]:
    return list(choice.choose(images, selection.parse(pattern), rename.parse(renames), by_list=by_list))


def test_children_come_first(tmp_path: Path, plain: Images) -> None:
    children = [image(tmp_path, b"one"), image(tmp_path, b"two")]
    top = index(tmp_path, "v1", *children)
    (found,) = chosen(plain, "library/app:v1")
    assert list(found.manifests) == [*children, top]
    assert [each.root for each in found.manifests.values()] == [False, False, True]
    assert (sorted(found.blobs.values()), found.tags, found.lacking) == ([3, 3], [("v1", top)], [])


def test_what_is_about_an_image_comes_with_it(tmp_path: Path, plain: Images) -> None:
    subject = image(tmp_path, b"one", "v1")
    tag = f"{subject.replace(':', '-')}.sig"
    signature = image(tmp_path, b"signature", tag)
    referrer = image(tmp_path, b"sbom", subject={"digest": subject, "size": 1, "mediaType": trees.IMAGE})
    of_referrer = image(
        tmp_path, b"its signature", subject={"digest": referrer, "size": 1, "mediaType": trees.IMAGE}
    )
    image(tmp_path, b"another", "v2")
    (found,) = chosen(plain, "library/app:v1")
    assert list(found.manifests) == [subject, signature, referrer, of_referrer]
    assert found.tags == [(tag, signature), ("v1", subject)]


def test_by_a_digest_without_its_tags(tmp_path: Path, plain: Images) -> None:
    digest = image(tmp_path, b"one", "v1")
    (found,) = chosen(plain, f"library/app@{digest[:19]}")
    assert (list(found.manifests), found.tags) == ([digest], [])


def test_a_list_names_accessories(tmp_path: Path) -> None:
    subject, sbom = image(tmp_path, b"one"), image(tmp_path, b"sbom")
    other = image(tmp_path, b"other")
    file = tmp_path / image_list.FILE_NAME
    lines = [
        Listed(REPOSITORY, "", sbom, 1, "accessory", subject),
        Listed(REPOSITORY, "", other),
        Listed(REPOSITORY, "v1", subject),
    ]
    file.write_bytes(b"".join(image_list.to_lines(sorted(lines))))
    ledger = Ledger(tmp_path / "ledger.db")
    with contextlib.closing(ImageList(file)) as listed:
        images = Images(tmp_path, TreeData(tmp_path), ListedNames(listed), ledger)
        (found,) = chosen(images, "library/app:v1", by_list=True)
        assert list(found.manifests) == [subject, sbom]
        # A repository is all that it has, without a tag as well.
        (found,) = chosen(images, "library", by_list=True)
        assert set(found.manifests) == {subject, sbom, other}
    ledger.close()


def test_what_lacks_something_is_left_out(tmp_path: Path, plain: Images) -> None:
    good, lost, torn = (image(tmp_path, data) for data in (b"good", b"lost", b"torn"))
    index(tmp_path, "v1", good, lost)
    index(tmp_path, "v2", good)
    image(tmp_path, b"short", "v3")
    (tmp_path / links.of_manifest(REPOSITORY, lost)[0]).unlink()
    layer = trees.digest(b"short")
    storage.blob_path(tmp_path, layer).write_bytes(b"x")
    spoilt = storage.blob_path(tmp_path, torn)
    spoilt.write_bytes(spoilt.read_bytes() + b" ")
    index(tmp_path, "v4", torn)
    (found,) = chosen(plain, "library/app:v*")
    assert [tag for tag, _ in found.tags] == ["v2"]
    assert {said.rpartition(" ")[2] for said in found.lacking} >= {"there", "size", "bytes"}
    assert good in found.manifests


def test_into_several_repositories(tmp_path: Path, plain: Images) -> None:
    first, second = image(tmp_path, b"one", "v1"), image(tmp_path, b"two", "v2")
    found = chosen(plain, "library/app", "library/app:v1=old/app:v0")
    assert {(each.target, *each.tags[0]) for each in found} == {
        ("old/app", "v0", first), (REPOSITORY, "v2", second),
    }  # fmt: skip


def test_nothing_that_is_meant(tmp_path: Path, plain: Images) -> None:
    image(tmp_path, b"one", "v1")
    assert chosen(plain, "library/app:v2") == []
    assert chosen(plain, "other") == []
