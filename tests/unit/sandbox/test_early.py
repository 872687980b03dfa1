"""One image comes before all others: which, and with what."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from drkit.blobs.dangling import Known
from drkit.model import Dangling
from drkit.registry import image_list, image_manifests, storage
from drkit.registry.image_list import Listed
from drkit.registry.storage import Tag
from drkit.sandbox import early

if TYPE_CHECKING:
    from collections.abc import Collection

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Store:
    """A tree that has everything, and one that gets what is brought."""

    def __init__(self, directory: Path) -> None:
        self.all, self.root = directory / "all", directory / "registry"
        self.rounds: list[tuple[Collection[str] | None, Collection[str]]] = []

    def blob(self, data: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        path = storage.blob_path(self.all, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {"digest": digest, "size": len(data), "mediaType": "application/octet-stream"}

    def image(self, *layers: bytes) -> dict[str, Any]:
        document = {"config": self.blob(b"{}"), "layers": [self.blob(layer) for layer in layers]}
        return {**self.blob(json.dumps(document).encode()), "mediaType": MANIFEST}

    def tag(self, repository: str, name: str, digest: str) -> None:
        link = self.all / storage.REPOSITORIES / repository / "_manifests/tags" / name / "current/link"
        link.parent.mkdir(parents=True)
        link.write_text(digest)

    def bring(self, repositories: Collection[str] | None, digests: Collection[str]) -> None:
        self.rounds.append((repositories, digests))
        for name in [""] if repositories is None else repositories:
            place = storage.REPOSITORIES / name
            if (self.all / place).is_dir():
                shutil.copytree(self.all / place, self.root / place, dirs_exist_ok=True)
        for digest in digests:
            source, target = (storage.blob_path(root, digest) for root in (self.all, self.root))
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def whole(self, digest: str) -> bool:
        """Whether all of an image has been brought."""
        needs = image_manifests.read(self.root, digest)
        there = all(storage.blob_path(self.root, blob.digest).exists() for blob in needs.blobs)
        return there and all(self.whole(child.digest) for child in needs.children)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def listing(directory: Path, *images: Listed) -> Path:
    path = directory / "tags.jsonl"
    path.write_bytes(b"".join(image_list.to_lines(images)))
    return path


def test_of_a_list_a_plain_image_comes_first_and_whole(store: Store, tmp_path: Path) -> None:
    plain = store.image(b"one", b"two")["digest"]
    index = store.blob(json.dumps({"manifests": [store.image(b"child")]}).encode())["digest"]
    listed = listing(tmp_path, Listed("a/index", "v1", index, 9), Listed("b/plain", "v1", plain, 9))
    assert early.bring_one(store.root, listed, Known(), store.bring) == Tag("b/plain", "v1", plain)
    assert store.whole(plain)
    assert store.rounds[0] == ({"a/index", "b/plain"}, {index, plain})
    assert len(store.rounds) == 2


def test_an_index_comes_with_all_its_images_where_there_is_nothing_else(store: Store, tmp_path: Path) -> None:
    index = store.blob(json.dumps({"manifests": [store.image(b"a"), store.image(b"b")]}).encode())["digest"]
    listed = listing(tmp_path, Listed("a/index", "v1", index, 9))
    assert early.bring_one(store.root, listed, Known(), store.bring) == Tag("a/index", "v1", index)
    assert store.whole(index)


def test_without_a_list_the_links_tell_the_tags(store: Store) -> None:
    plain = store.image(b"layer")["digest"]
    store.tag("library/nginx", "v1", plain)
    store.tag("library/torn", "v1", "")
    assert early.bring_one(store.root, None, Known(), store.bring) == Tag("library/nginx", "v1", plain)
    assert store.whole(plain)
    assert store.rounds[0] == (None, ())


def test_what_cannot_be_had_whole_is_passed_over(store: Store, tmp_path: Path) -> None:
    torn = store.image(b"a layer that is gone")
    storage.blob_path(store.all, f"sha256:{hashlib.sha256(b'a layer that is gone').hexdigest()}").unlink()
    good = store.image(b"here")["digest"]
    dangling = Known([Dangling("tag", "a/dangling", "v1", good)])
    listed = listing(
        tmp_path,
        Listed("a/dangling", "v1", good, 9),
        Listed("a/none", "v1", "sha256:" + "0" * 64, 9),
        Listed("a/signature", "v1", good, 9, "accessory"),
        Listed("a/torn", "v1", torn["digest"], 9),
        Listed("a/whole", "v1", good, 9),
    )
    assert early.bring_one(store.root, listed, dangling, store.bring) == Tag("a/whole", "v1", good)


def test_a_large_image_does_not_keep_the_others_waiting(store: Store, tmp_path: Path) -> None:
    large = store.image(b"large")["digest"]
    listed = listing(tmp_path, Listed("a/large", "v1", large, 65 << 20), Listed("a/unknown", "v1", large))
    assert early.bring_one(store.root, listed, Known(), store.bring) is None
    assert store.rounds == [(set(), set())]


def test_a_list_that_is_damaged_is_left_to_its_check(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "tags.jsonl"
    path.write_bytes(b"{}\n")
    assert early.bring_one(store.root, path, Known(), store.bring) is None
