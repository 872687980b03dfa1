"""What stands in a storage tree, and what only stands in its way."""

from __future__ import annotations

from pathlib import Path

from drkit.registry import storage
from drkit.registry.storage import Tag

A, B = "ab" + "0" * 62, "cd" + "1" * 62


def file(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def test_blobs_and_what_is_none(tmp_path: Path) -> None:
    top = tmp_path / storage.BLOBS / "sha256"
    for digits in (B, A):
        file(top / digits[:2] / digits / "data", digits[:4])
    file(top / "README", "hands off")
    file(top / "ab" / ".nfs0001", "")
    file(top / "ab" / ("ab" + "2" * 62), "no directory")
    file(top / "cd" / A / "data", "in the wrong place")
    (top / "ab" / ("ab" + "3" * 62)).mkdir()
    assert list(storage.stored_blobs(tmp_path)) == [(f"sha256:{A}", 4), (f"sha256:{B}", 4)]
    assert list(storage.stored_blobs(tmp_path / "none")) == []


def test_tags_by_repository(tmp_path: Path) -> None:
    top = tmp_path / storage.REPOSITORIES
    for repository, tag in (("library/nginx", "v2"), ("library/nginx", "v1"), ("a/b/c", "latest")):
        file(top / repository / "_manifests/tags" / tag / "current/link", f"sha256:{A}")
    file(top / "library/nginx/_manifests/tags/stray", "")
    (top / "library/nginx/_manifests/tags/half").mkdir()
    file(top / "library/nginx/_layers/sha256" / B / "link", f"sha256:{B}")
    file(top / "library/nginx/_manifests/tags/odd/current/link", "")
    assert list(storage.tags(tmp_path)) == [
        Tag("a/b/c", "latest", f"sha256:{A}"),
        Tag("library/nginx", "odd", ""),
        Tag("library/nginx", "v1", f"sha256:{A}"),
        Tag("library/nginx", "v2", f"sha256:{A}"),
    ]
    assert list(storage.tags(tmp_path / "none")) == []
