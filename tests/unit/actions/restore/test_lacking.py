"""What did not come back, with what the backup itself found to be lost."""

from __future__ import annotations

from drkit.actions.restore import lacking
from drkit.model import Closure, ManifestProof


def test_what_manifests_need_and_nothing_lists_is_missing() -> None:
    listed = Closure(2, 1, 1, 0, 0, missing_names=("sha256:a",))
    backup = Closure(
        2, 2, 0, 0, 0, manifests=ManifestProof(1, 1, unlisted=2, lost=1, lost_names=("sha256:b",))
    )
    found = lacking.with_lost(listed, backup)
    assert lacking.gaps(found) == ("2 blobs that images need are not there: sha256:a, sha256:b",)
    assert lacking.said(found) == "1 of 3 blobs that are referred to"


def test_nothing_is_added_where_the_backup_found_nothing_lost() -> None:
    whole = Closure(2, 2, 0, 0, 0)
    assert lacking.with_lost(whole, None) == whole
    unlisted = Closure(2, 2, 0, 0, 0, manifests=ManifestProof(1, 1, unlisted=1))
    assert lacking.with_lost(whole, unlisted) == whole
