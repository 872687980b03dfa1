"""The grammar of a directory of OCI layouts, and what is found in one that zot has made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drkit.errors import ToolFailed
from drkit.registry import layouts
from drkit.registry.layouts import File, Named
from tests import layouts as made

HEX = "0" * 64


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("app/index.json", File("app", "index.json")),
        ("a/b.c/d__e/oci-layout", File("a/b.c/d__e", "oci-layout")),
        (f"a/b/blobs/sha256/{HEX}", File("a/b", digest=f"sha256:{HEX}")),
        (f"a/blobs/sha512/{HEX}{HEX}", File("a", digest=f"sha512:{HEX}{HEX}")),
        (f"a/blobs/blobs/sha256/{HEX}", File("a/blobs", digest=f"sha256:{HEX}")),
        ("index.json", None),
        ("app/index.json.bak", None),
        ("app/.uploads/index.json", None),
        ("_trivy/db/index.json", None),
        (f"a/blobs/sha256/{HEX}.tmp", None),
        ("../app/index.json", None),
        ("App/index.json", None),
        ("cache.db", None),
    ],
)
def test_what_a_path_is(path: str, found: File | None) -> None:
    assert layouts.parse(path) == found


def test_a_blobs_path_is_that_of_its_digest() -> None:
    path = layouts.blob_name("team/app", f"sha256:{HEX}")
    assert layouts.parse(path) == File("team/app", digest=f"sha256:{HEX}")


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("meta.db", True),
        ("team/app/index.json", True),
        ("team/app/notes.txt", True),
        ("cache.db", False),
        ("team/.uploads/x", False),
        ("_trivy/x", False),
    ],
)
def test_what_comes_back(path: str, kept: bool) -> None:
    assert layouts.keeps(path) is kept


def test_what_zot_has_made(tmp_path: Path) -> None:
    root = made.unpack(tmp_path)
    assert tuple(sorted(layouts.repositories(root))) == made.REPOSITORIES
    for repository in made.REPOSITORIES:
        entries = layouts.index((root / repository / layouts.INDEX).read_bytes())
        assert sorted(entry.tag for entry in entries) == ["", *made.TAGS]
        stored = dict(layouts.stored(root, repository))
        assert {entry.digest: entry.size for entry in entries}.items() <= stored.items()
        assert len(stored) == 8


def test_only_directories_with_index_and_mark_are_repositories(tmp_path: Path) -> None:
    tree = made.Layouts(tmp_path)
    tree.image("team", "v1", b"of the outer one")
    tree.image("team/app", "v1", b"of the inner one")
    tree.image("half", "v1", b"without its mark")
    (tmp_path / "half/oci-layout").unlink()
    tree.image("_trivy", "v1", b"by a name that no repository has")
    assert sorted(layouts.repositories(tmp_path)) == ["team", "team/app"]


def test_an_index_that_is_new() -> None:
    assert layouts.index(b'{"schemaVersion":2,"manifests":null}') == ()


def test_an_index_is_written_as_it_is_read() -> None:
    entries = (Named(f"sha256:{HEX}", 3, "v1"), Named(f"sha256:{HEX}", 3))
    assert layouts.index(layouts.index_of(entries)) == entries


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"manifests": {"a": 1}}',
        b'{"manifests": [{"digest": 1, "size": 1}]}',
        b'{"manifests": [{"size": 1}]}',
        b'{"manifests": [{"digest": "sha256:0", "size": "1"}]}',
        json.dumps({"manifests": [{"digest": f"sha256:{HEX}", "size": 1}]}).encode()[:-9],
        b'{"manifests":' * 100_000,
    ],
)
def test_what_is_no_index(data: bytes) -> None:
    with pytest.raises(ToolFailed, match="it is no index of images"):
        layouts.index(data)
