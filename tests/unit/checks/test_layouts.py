"""The checks on OCI layouts: each fails where something is wrong, and each control plants what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drkit.blobs.dangling import Known
from drkit.blobs.layouts import on_disk
from drkit.checks import layouts as checks
from drkit.checks.finding import Control, Finding, Unplanted
from drkit.model import Dangling, Outcome
from drkit.registry.image_list import Listed
from drkit.registry.ledger import Ledger
from tests import layouts, plain
from tests.layouts import Layouts


@pytest.fixture
def tree(tmp_path: Path) -> Layouts:
    made = Layouts(tmp_path / "root")
    made.image("app", "v1", b"a layer")
    made.image("team/other", "v1", b"a layer")
    return made


@pytest.fixture
def hashed(tmp_path: Path) -> Iterator[Callable[[Path], Finding]]:
    ledger = Ledger(tmp_path / "ledger.db")
    yield lambda root: checks.blobs_hash(root, ledger)
    ledger.close()


def holds(root: Path, known: Known | None = None) -> tuple[Finding, Finding]:
    """Closure and manifests."""
    with on_disk.examined(root, root.parent / "spool.db") as spool:
        known = known or Known()
        return checks.closure_holds(spool, known), checks.manifests_resolve(spool, known)


def test_what_zot_has_made_passes(tmp_path: Path, hashed: Callable[[Path], Finding]) -> None:
    root = layouts.unpack(tmp_path)
    found = [hashed(root), *holds(root)]
    assert [each.outcome for each in found] == [Outcome.PASSED] * 3
    assert found[0].detail == "16 blobs, every byte hashed"


def test_nothing_proves_nothing(tmp_path: Path, hashed: Callable[[Path], Finding]) -> None:
    (tmp_path / "root").mkdir()
    found = [hashed(tmp_path / "root"), *holds(tmp_path / "root")]
    assert [each.outcome for each in found] == [Outcome.NOT_PROVABLE] * 3


def test_a_file_with_wrong_bytes_under_two_names(tree: Layouts, tmp_path: Path) -> None:
    layer = plain.sha256(b"a layer")
    assert tree.blob_path("app", layer).stat().st_nlink == 2
    tree.blob_path("app", layer).write_bytes(b"A layer")
    told: list[tuple[str, str]] = []
    judged: list[tuple[str, int, bool]] = []
    ledger = Ledger(tmp_path / "ledger.db")
    found = checks.blobs_hash(
        tree.root,
        ledger,
        lambda *blob: told.append(blob),
        judged=lambda *blob: judged.append(blob),
    )
    ledger.close()
    assert (found.outcome, told) == (Outcome.FAILED, [("app", layer)])
    assert [blob for blob in judged if not blob[2]] == [(layer, 7, False)]
    assert len(judged) == 3, "a file with two names is read once"


def test_a_missing_and_a_cut_layer(tree: Layouts) -> None:
    layer = tree.blob_path("app", plain.sha256(b"a layer"))
    layer.unlink()
    closure, _ = holds(tree.root)
    assert (closure.outcome, closure.detail) == (
        Outcome.FAILED,
        f"1 faults: app@{plain.sha256(b'a layer')} is missing",
    )
    layer.write_bytes(b"a la")
    closure, _ = holds(tree.root)
    assert closure.detail.endswith("has 4 bytes and should have 7")


def test_what_production_did_not_serve_either(tree: Layouts) -> None:
    image = tree.image("app", "v2", b"another layer")
    tree.blob_path("app", image).unlink()
    assert holds(tree.root)[0].outcome is Outcome.FAILED
    known = Known([Dangling("tag", "app", "v2", image), Dangling("manifest", "app", "", image)])
    closure, manifests = holds(tree.root, known)
    assert closure.outcome is Outcome.PASSED
    assert "not served, as in production at the backup: tag app:v2" in manifests.detail
    elsewhere = Known([Dangling("manifest", "team/other", "", image)])
    assert holds(tree.root, elsewhere)[0].outcome is Outcome.FAILED


def test_tags_that_are_not_those_of_the_backup(tree: Layouts) -> None:
    with on_disk.examined(tree.root, tree.root.parent / "spool.db") as spool:
        listed = list(spool.images())
        assert checks.images_agree(spool, listed).outcome is Outcome.PASSED
        other = [Listed("app", "v1", plain.sha256(b"another")), *listed[1:]]
        for wrong in (listed[1:], [*listed, Listed("zoo", "v1", listed[0].digest)], other):
            assert checks.images_agree(spool, wrong).outcome is Outcome.FAILED


@pytest.mark.parametrize("of_zot", [True, False])
def test_every_fault_is_caught(tree: Layouts, tmp_path: Path, of_zot: bool) -> None:
    root = layouts.unpack(tmp_path) if of_zot else tree.root
    before = sorted((path, path.stat().st_size) for path in root.rglob("*"))
    planted = list(checks.Faults(root, tmp_path / "scratch").controls())
    controls = [each for each in planted if isinstance(each, Control)]
    assert [each.name for each in controls] == [
        "symbolic link",
        "flipped byte",
        "truncated blob",
        "missing layer",
        "lost tag",
        "torn index",
    ]
    assert [each.run().caught for each in controls] == [True] * 6
    assert sorted((path, path.stat().st_size) for path in root.rglob("*")) == before


def test_where_nothing_can_be_planted_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    planted = list(checks.Faults(tmp_path / "root", tmp_path / "scratch").controls())
    assert [each.name for each in planted if isinstance(each, Unplanted)] == [
        "flipped byte",
        "truncated blob",
        "missing layer",
        "lost tag",
        "torn index",
    ]
