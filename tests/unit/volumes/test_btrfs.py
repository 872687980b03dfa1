"""btrfs's own words, as btrfs-progs 6.2 said them on a real file system."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drkit.errors import CannotFreeze, ToolFailed
from drkit.volumes import btrfs
from drkit.volumes.btrfs import Subvolume

_LIST = """\
ID 256 gen 7 top level 5 parent_uuid -                                    uuid 538c014b-37d5-3943-8ebf-b0439488e8b5 path @data
ID 257 gen 7 top level 5 parent_uuid 538c014b-37d5-3943-8ebf-b0439488e8b5 uuid 4d788763-bbb1-9143-9343-0b9ab85e4308 path .drkit-x y
ID 258 gen 9 top level 256 parent_uuid -                                    uuid 1dd1a2a0-0f53-3b41-a1a7-3a5a2a0f9c11 path @data/registry/path x
"""  # noqa: E501

_SHOW = """\
@data
\tName: \t\t\t@data
\tUUID: \t\t\t538c014b-37d5-3943-8ebf-b0439488e8b5
\tParent UUID: \t\t-
\tReceived UUID: \t\t-
\tCreation time: \t\t2026-11-24 09:57:45 +0000
\tSubvolume ID: \t\t256
\tSnapshot(s):
\t\t\t\t.drkit-x
"""


def test_the_list() -> None:
    assert btrfs.parse_list(_LIST) == (
        Subvolume("@data", "538c014b-37d5-3943-8ebf-b0439488e8b5", "-"),
        Subvolume(
            ".drkit-x y", "4d788763-bbb1-9143-9343-0b9ab85e4308", "538c014b-37d5-3943-8ebf-b0439488e8b5"
        ),
        Subvolume("@data/registry/path x", "1dd1a2a0-0f53-3b41-a1a7-3a5a2a0f9c11", "-"),
    )
    assert btrfs.parse_list("") == ()


def test_a_line_that_is_none() -> None:
    with pytest.raises(ToolFailed, match="cannot read btrfs's list of subvolumes: 'ERROR"):
        btrfs.parse_list("ERROR: not a btrfs filesystem")


def test_the_uuid_is_the_subvolumes_own() -> None:
    assert btrfs.uuid_in(_SHOW) == "538c014b-37d5-3943-8ebf-b0439488e8b5"
    assert btrfs.uuid_in(_SHOW.replace("538c014b-37d5-3943-8ebf-b0439488e8b5", "-")) == "-"
    with pytest.raises(ToolFailed):
        btrfs.uuid_in("\tParent UUID: \t\t538c014b-37d5-3943-8ebf-b0439488e8b5\n")


@pytest.mark.parametrize(
    ("inside", "subvolumes", "found"),
    [
        ("/", [], ("", ".")),
        ("/registry", [], ("", "registry")),
        ("/registry", ["registry"], ("registry", ".")),
        ("/@data/registry", ["@data", "@home"], ("@data", "registry")),
        ("/@data/registry/root", ["@data", "@data/registry", "@data/registry-2"], ("@data/registry", "root")),
        ("/", [".drkit-other"], None),
        ("/@data", ["@data", "@data/registry/x"], None),
    ],
)
def test_the_nearest_subvolume_around(
    inside: str, subvolumes: list[str], found: tuple[str, str] | None
) -> None:
    if found is None:
        with pytest.raises(CannotFreeze, match="there are subvolumes below it"):
            btrfs.locate(PurePosixPath(inside), subvolumes)
        return
    assert btrfs.locate(PurePosixPath(inside), subvolumes) == found


_PATHS = st.lists(st.sampled_from("abc"), max_size=4).map("/".join)


@given(_PATHS, st.lists(_PATHS.filter(bool), max_size=5))
def test_subvolume_and_rest_are_the_path(inside: str, subvolumes: list[str]) -> None:
    try:
        subvolume, rest = btrfs.locate(PurePosixPath("/", inside), subvolumes)
    except CannotFreeze:
        assert any(path.startswith(f"{inside}/" if inside else "") for path in subvolumes)
        return
    assert PurePosixPath("/", subvolume, rest) == PurePosixPath("/", inside)
    assert subvolume in ("", *subvolumes)
