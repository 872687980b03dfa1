"""Checks that have nothing to look at: not provable, and never a pass."""

from __future__ import annotations

from pathlib import Path

from drkit.blobs.vault.fetching import Fetched
from drkit.checks import images, lists, manifests, vault
from drkit.checks.finding import Finding
from drkit.model import Outcome
from drkit.registry.ledger import Ledger


def nothing(finding: Finding) -> str:
    assert finding.outcome is Outcome.NOT_PROVABLE
    return finding.detail


def test_of_no_images(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    assert nothing(images.tags_pull(tmp_path / "socket", [], ledger)) == "there is no tag to pull"
    assert nothing(images.blobs_hash(tmp_path, ledger)) == "there is no blob"
    ledger.close()
    assert nothing(images.closure_of([], [])) == "no blob is referred to"
    assert nothing(images.closure_of([], [("a", 1)])) == "no blob is referred to, 1 unreferenced"
    assert nothing(lists.agree([], [], "digests")) == "no digests, as at the backup"
    assert lists.agree([], [("a", 1)], "digests").outcome is Outcome.FAILED
    assert nothing(manifests.links_hold(tmp_path)) == "no repository has a link"
    assert nothing(manifests.resolve(tmp_path, [], tmp_path / "seen.db")) == "there is no manifest"
    assert nothing(vault.came(Fetched(0, 0, 0, 0, ()), "s3://v")) == "no blob is needed of s3://v"
    assert vault.came(Fetched(0, 0, 0, 1, ("gone",)), "s3://v").outcome is Outcome.FAILED
