"""What the manifests need, remembered from run to run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from drkit.blobs.manifest_cache import ManifestCache
from drkit.errors import NoSpace, failure_of
from drkit.model import ManifestProof
from drkit.registry import image_manifests, storage
from tests import filesystems, plain


class Tree:
    """A registry's root directory and a memory of its manifests."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "registry"
        self.memory = directory / "manifests.db"

    def image(self, *layers: str) -> str:
        return self._store({"layers": [{"digest": layer, "size": 1} for layer in layers]})

    def index(self, *children: str) -> str:
        entries = [{"digest": child, "size": 1, "mediaType": plain.IMAGE} for child in children]
        return self._store({"manifests": entries})

    def prove(self, roots: Sequence[str], listed: Sequence[str]) -> ManifestProof:
        def sorted_digests(names: Sequence[str]) -> list[tuple[str, int | None]]:
            return [(name, None) for name in sorted(names)]

        with ManifestCache(self.memory) as memory:
            memory.learn(partial(image_manifests.read, self.root), sorted_digests(roots))
            return memory.compare(
                sorted_digests(listed), lambda digest: storage.blob_path(self.root, digest).exists()
            )

    def keep(self, digest: str) -> None:
        path = storage.blob_path(self.root, digest)
        path.parent.mkdir(parents=True)
        path.touch()

    def remove(self, digest: str) -> None:
        storage.blob_path(self.root, digest).unlink()

    def _store(self, document: object) -> str:
        data = json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        path = storage.blob_path(self.root, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return digest


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


def test_each_manifest_is_read_once(tree: Tree) -> None:
    first, second = tree.image(A), tree.image(A, B)
    assert tree.prove([first], [A]) == ManifestProof(1, 1)
    # Only the new one is read: the other is no longer there to be read.
    tree.remove(first)
    assert tree.prove([first, second], [A, B]) == ManifestProof(2, 1)


def test_what_only_a_manifest_knows_of_is_named_every_time(tree: Tree) -> None:
    image = tree.image(A, B, C)
    for read in (1, 0):
        found = tree.prove([image], [A, C])
        assert (found.manifests, found.read, found.unlisted) == (1, read, 1)
        assert found.unlisted_names == (f"{B}, which {image} needs",)
        assert (found.lost, found.lost_names) == (1, (B,))
        assert not found.whole
    tree.keep(B)
    found = tree.prove([image], [A, C])
    assert (found.unlisted, found.lost) == (1, 0), "a link or row is missing, and no bytes"


def test_children_of_an_index_are_walked_although_nobody_lists_them_as_images(tree: Tree) -> None:
    child = tree.image(A, B)
    index = tree.index(child)
    for read in (2, 0):
        found = tree.prove([index], [A, child])
        assert (found.manifests, found.read, found.unlisted) == (2, read, 1)
        assert found.unlisted_names == (f"{B}, which {child} needs",)


def test_thousands_are_read_once_each_and_their_children_too(tree: Tree) -> None:
    """More than are asked for at a time; in the order of digests children stand among the others."""
    children = [tree.image(f"sha256:{number:064x}") for number in range(1500)]
    roots = [tree.index(*children[start : start + 2]) for start in range(0, 1500, 2)]
    roots += [tree.image(A, f"sha256:{number:064x}") for number in range(1500)]
    listed = [A, *children, *(f"sha256:{number:064x}" for number in range(1500))]
    for read in (3750, 0):
        found = tree.prove(roots, listed)
        assert (found.manifests, found.read, found.unlisted) == (3750, read, 0)


def test_an_image_that_is_gone_needs_nothing_any_more(tree: Tree) -> None:
    image, other = tree.image(A, B), tree.image(A)
    assert tree.prove([image, other], [A]).unlisted == 1
    assert tree.prove([other], [A]) == ManifestProof(1, 0)
    assert tree.prove([image, other], [A]).unlisted == 1


def test_what_cannot_be_read_is_looked_at_again(tree: Tree) -> None:
    image = tree.image(A)
    tree.remove(image)
    for _ in range(2):
        found = tree.prove([image], [A, image])
        assert (found.faults, found.fault_names) == (1, (f"the manifest {image} is not there",))
    assert tree.image(A) == image
    assert tree.prove([image], [A]).whole


def test_a_missing_manifest_that_nothing_lists_is_no_fault(tree: Tree) -> None:
    child, other = tree.image(A), tree.image(B)
    index = tree.index(child, other)
    tree.remove(child)
    assert tree.prove([index], [B, other]).whole
    assert tree.prove([index], [B, other, child]).fault_names == (f"the manifest {child} is not there",)


@pytest.mark.parametrize("data", [b"noise that is no database" * 100, b""])
def test_a_broken_memory_is_made_again(tree: Tree, data: bytes) -> None:
    tree.memory.write_bytes(data)
    assert tree.prove([tree.image(A)], [A]) == ManifestProof(1, 1)


def test_a_memory_of_another_version_is_made_again(tree: Tree) -> None:
    import sqlite3

    image = tree.image(A)
    tree.prove([image], [A])
    store = sqlite3.connect(tree.memory)
    store.execute("PRAGMA user_version = 99")
    store.commit()
    store.close()
    assert tree.prove([image], [A]) == ManifestProof(1, 1)


def test_a_disk_without_room_for_it_is_told_with_its_path(tmp_path: Path) -> None:
    with filesystems.narrow(tmp_path / "narrow", "1m") as where:
        filesystems.fill(where)
        with pytest.raises(OSError, match="No space left") as caught:
            ManifestCache(where / "manifests.db")
    found = failure_of(caught.value)
    assert isinstance(found, NoSpace)
    assert found.path == str(where / "manifests.db")
