"""The keys of a tree: in every page of every listing those that a bucket with the same objects has."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from drkit.registry import storage
from drkit.sandbox.s3 import tree
from drkit.sandbox.s3.requests import Key

ONE, TWO, THREE = (f"sha256:{digits}" for digits in ("ab" + "0" * 62, "ab" + "1" * 62, "cd" + "0" * 62))
TOP = str(storage.REPOSITORIES)


def link(repository: str, rest: str) -> str:
    return f"{TOP}/{repository}/{rest}/link"


# Names in which a directory sorts otherwise than the keys in it do: `-` and `.` come before `/`.
NAMES = (
    *(str(storage.blob_name(digest)) for digest in (ONE, TWO, THREE)),
    *(link("a/b", f"_manifests/tags/{tag}/current") for tag in ("v1", "v1-x", "v1.0", "v10", "_uploads")),
    link("a/b-c", "_layers/sha256/" + ONE[7:]),
    link("a/b/c", "_layers/sha256/" + ONE[7:]),
    link("a/b", "_layers/sha256/" + ONE[7:]),
)
# What is there and no key.
OTHERS = (
    f"{TOP}/a/b/_uploads/one/data",
    f"{TOP}/a/b/_uploads/_layers/x/link",
    f"{TOP}/a/only/_uploads/one/startedat",
    ".drkit-partial-0/abc",
    "docker/registry/v2/blobs/sha256/ef/other",
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (*NAMES, *OTHERS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    (tmp_path / TOP / "a" / "away").symlink_to("/")
    return tmp_path


def expected(prefix: str, delimiter: str, after: str) -> list[str]:
    """What a bucket says."""
    found = []
    for name in sorted(NAMES):
        if name.startswith(prefix):
            rest = name[len(prefix) :]
            cut = delimiter and delimiter in rest
            found.append(prefix + rest.partition("/")[0] + "/" if cut else name)
    return [name for name in dict.fromkeys(found) if name > after]


PREFIXES = [
    "",
    "docker",
    "docker/",
    f"{TOP}/",
    f"{TOP}/a/b",
    f"{TOP}/a/b/",
    f"{TOP}/a/b/_manifests/tags/",
    f"{TOP}/a/b/_manifests/tags/v1",
    f"{TOP}/a/none/",
    "docker/registry/v2/blobs/sha256/ab/",
    *NAMES[:2],
    NAMES[0][:-1],
    NAMES[0] + "/",
]


@pytest.mark.parametrize("delimiter", ["", "/"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_every_page_of_every_listing(root: Path, prefix: str, delimiter: str) -> None:
    for size in (1, 2, 100):
        found: list[str] = []
        while page := [
            key.name for key in islice(tree.keys(root, prefix, delimiter, found[-1] if found else ""), size)
        ]:
            found += page
        assert found == expected(prefix, delimiter, "")


@pytest.mark.parametrize("after", [*NAMES, f"{TOP}/a/b", f"{TOP}/a/b/_m", "docker/", "e"])
def test_a_listing_begins_anywhere(root: Path, after: str) -> None:
    assert [key.name for key in tree.keys(root, after=after)] == expected("", "", after)


@pytest.mark.parametrize("prefix", ["../", "docker/../", "docker//", "/", "/etc/", f"{TOP}/a/away/etc/"])
def test_nothing_outside_is_listed(root: Path, prefix: str) -> None:
    assert list(tree.keys(root / "docker" if prefix == "../" else root, prefix)) == []


def test_an_object_has_the_size_of_its_file(root: Path) -> None:
    for name in NAMES:
        found = tree.find(root, name)
        assert found == Key(name, len(name), (root / name).stat().st_mtime)
    for name in (*OTHERS, f"{TOP}/a/away/etc/passwd", "", f"{TOP}/a/b", NAMES[0] + "/", f"/{NAMES[0]}"):
        assert tree.find(root, name) is None
