"""A snapshot of OCI layouts against its own indexes: what is torn, what production lacks, what is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drkit.blobs import dangling, digests
from drkit.blobs.layouts.proof import LayoutProver
from drkit.errors import SourceChanged, ToolFailed
from drkit.model import Dangling
from drkit.registry import image_list
from drkit.tools.restic.output import Saved
from drkit.tools.restic.repository import Repository
from tests import plain
from tests.layouts import Layouts


@pytest.fixture
def tree(tmp_path: Path) -> Layouts:
    made = Layouts(tmp_path / "zot")
    made.image("app", "v1", b"a layer")
    made.image("team/app", "v1", b"a layer")
    return made


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    return made


def save(repository: Repository, tree: Layouts, *excludes: str) -> Saved:
    return repository.save_directory(tree.root, (), "host", excludes=excludes)


def test_what_is_whole(repository: Repository, tree: Layouts, directory: Path) -> None:
    # A blob that nothing needs, and a manifest that production no longer has at hand.
    spare = tree.blob("app", b"of an upload that was given up")
    saved = save(repository, tree)
    image = tree.entries("app")[0]["digest"]
    tree.blob_path("app", image).unlink()
    prover = LayoutProver(repository, tree.root, saved, directory)
    proof = prover.prove()
    found = proof.closure
    assert (found.referenced, found.present, found.unreferenced_names) == (6, 6, (f"app@{spare}",))
    assert (found.whole, found.dangling, proof.warnings) == (True, 0, ())
    assert len(dict(digests.from_file(prover.listed))) == 3, "both repositories have the same blobs"
    listed = [(each.repository, each.tag) for each in image_list.from_file(prover.images)]
    assert listed == [("app", "v1"), ("team/app", "v1")]


def test_blobs_that_were_pushed_meanwhile(repository: Repository, tree: Layouts, directory: Path) -> None:
    layer = plain.sha256(b"a layer")
    saved = save(repository, tree, str(tree.blob_path("app", layer)))
    with pytest.raises(SourceChanged, match=f"1 blobs were pushed while .*: app@{layer}"):
        LayoutProver(repository, tree.root, saved, directory).prove()
    proof = LayoutProver(repository, tree.root, saved, directory, last=True).prove()
    assert proof.damage.in_capture == 1
    with pytest.raises(ToolFailed, match="1 blobs are in production but not in the snapshot"):
        proof.raise_if_torn()


def test_an_image_that_was_deleted_meanwhile(repository: Repository, tree: Layouts, directory: Path) -> None:
    layer = tree.blob_path("app", plain.sha256(b"a layer"))
    saved = save(repository, tree, str(layer))
    tree.write_index("app", [])
    layer.unlink()
    with pytest.raises(SourceChanged, match="images of app were deleted"):
        LayoutProver(repository, tree.root, saved, directory).prove()


def test_a_torn_index(repository: Repository, tree: Layouts, directory: Path) -> None:
    whole = tree.index("app").read_bytes()
    tree.index("app").write_bytes(whole[:40])
    saved = save(repository, tree)
    found = LayoutProver(repository, tree.root, saved, directory).prove()
    assert found.warnings == ("1 manifests cannot be used: index.json of app: it is no index of images",), (
        "production cannot read it either"
    )
    tree.index("app").write_bytes(whole)
    with pytest.raises(SourceChanged, match=r"the index\.json of app was being written"):
        LayoutProver(repository, tree.root, saved, directory).prove()


def test_what_production_lacks_itself(repository: Repository, tree: Layouts, directory: Path) -> None:
    gone = tree.image("app", "gone", b"another layer")
    tree.blob_path("app", gone).unlink()
    layer = plain.sha256(b"a layer")
    tree.blob_path("team/app", layer).unlink()
    prover = LayoutProver(repository, tree.root, save(repository, tree), directory)
    proof = prover.prove()
    assert (proof.closure.missing_names, proof.damage.in_production) == ((f"team/app@{layer}",), 1)
    proof.raise_if_torn()
    assert any("production is damaged: 1 blobs" in each for each in proof.warnings)
    assert list(dangling.from_lines([(directory / dangling.FILE_NAME).read_bytes()])) == [
        Dangling("tag", "app", "gone", gone),
        Dangling("manifest", "app", "", gone),
    ]
    assert gone not in dict(digests.from_file(prover.listed))


def test_links_are_in_no_snapshot(repository: Repository, tree: Layouts, directory: Path) -> None:
    (tree.root / "elsewhere").symlink_to("/srv")
    with pytest.raises(ToolFailed, match=f"{tree.root}/elsewhere is a symbolic link"):
        LayoutProver(repository, tree.root, save(repository, tree), directory).prove()


def test_an_entry_with_another_size(repository: Repository, tree: Layouts, directory: Path) -> None:
    entries = tree.entries("app")
    entries[0]["size"] += 1
    tree.index("app").write_text(json.dumps({"manifests": entries}))
    proof = LayoutProver(repository, tree.root, save(repository, tree), directory).prove()
    assert (proof.closure.size_mismatch, proof.damage.in_production) == (1, 1)
