"""What can be said about restic without running it."""

from __future__ import annotations

import io
import json

import pytest

from drkit.errors import ToolFailed, ToolTooOld
from drkit.tools.process.command import Completed
from drkit.tools.restic import output, repository


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("restic 0.18.0 compiled with go1.24.4 on linux/amd64\n", (0, 18, 0)),
        ("restic 0.17.3-dev (compiled manually)", (0, 17, 3)),
        ("restic 1.0", (1, 0, 0)),
    ],
)
def test_versions(text: str, version: tuple[int, int, int]) -> None:
    assert output.parse_version(text) == version


def test_what_is_no_version() -> None:
    with pytest.raises(ToolFailed, match=r"cannot read restic's version from 'borg 1\.4'"):
        output.parse_version("borg 1.4")


def test_one_that_is_too_old() -> None:
    repository.require((0, 17, 0))
    with pytest.raises(ToolTooOld) as caught:
        repository.require((0, 16, 4))
    assert caught.value.message == "restic 0.16.4 is too old: drkit needs 0.17 or later"


@pytest.mark.parametrize("text", ["5%", "0.5%", "100%", "1/7", "7/7", "2G", "500M"])
def test_parts_of_the_data(text: str) -> None:
    assert output.is_subset(text)


@pytest.mark.parametrize(
    "text", ["", "5", "0%", "101%", "%", "0/7", "8/7", "1/0", "0G", "2g", "-1G", "5% ", "1/257"]
)
def test_what_is_no_part_of_the_data(text: str) -> None:
    assert not output.is_subset(text)


@pytest.mark.parametrize(
    ("text", "empty"),
    [("6/7", False), ("1/7", True), ("1/2", False), ("1/1", False), ("5%", False), ("2G", False)],
)
def test_a_share_of_the_packs_may_have_none(text: str, empty: bool) -> None:
    assert output.is_empty_share(text, ["98eed9a6", "05389bf9", "0c389bf9"]) is empty


# Recorded: restic 0.18 over a pg_dump 15 that waited in vain for a lock.
_DUMP_SAID = [
    "pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout",
    "pg_dump: detail: Query was: LOCK TABLE public.tag IN ACCESS SHARE MODE",
]
_RESTIC_SAID = [
    "/registry.dump: failed to save /registry.dump: Fatal: command failed: exit status 1",
    "unable to save snapshot: failed to save /registry.dump: Fatal: command failed: exit status 1",
]


def test_why_a_command_below_restic_failed_is_told() -> None:
    """Neither its query nor restic's own end may push its error out."""
    assert output.telling(_DUMP_SAID, _RESTIC_SAID) == [_DUMP_SAID[0], *_RESTIC_SAID]
    many = [_DUMP_SAID[0], *(f"line {number} of the query" for number in range(50))]
    assert output.telling(many, _RESTIC_SAID) == [_DUMP_SAID[0], *_RESTIC_SAID]


def test_what_a_command_below_restic_said_last_is_told_where_it_names_no_error() -> None:
    said = ["begins", "disk on fire"]
    assert output.telling(said, ["a", "b", "c"]) == ["disk on fire", "b", "c"]


def test_what_restic_alone_said_is_told_as_it_is() -> None:
    assert output.telling([], ["a", "b", "c", "d"]) == ["b", "c", "d"]


def test_what_only_follows_does_not_push_the_reason_out() -> None:
    """Of files in a damaged pack restic says why they cannot be had, and then that they have no owner."""
    why = "/a/data: decrypting blob <data/06220736> from 9c947b3c failed: nonce is invalid"
    after = "/a/data: lchown /sandbox/a/data: no such file or directory"
    assert output.reasons([why, after, after, "There were 2 errors"]) == [why, "There were 2 errors"]
    assert output.reasons([after]) == [after]


def test_of_very_many_words_the_first_are_read() -> None:
    file = io.BytesIO(b"pg_dump: error: first\n" + b"x" * 79 * (1 << 20))
    file.read()
    assert output.words_below(file)[0] == "pg_dump: error: first"
    assert sum(map(len, output.words_below(file))) <= 1 << 20


# Listings of millions of files


def _line(path: str, kind: str = "file", **more: object) -> str:
    """A line as restic 0.18 writes it: its order of fields, Go's escapes."""
    name = path.rpartition("/")[2]
    size = {"size": 71} if kind == "file" else {}
    entry = {"name": name, "type": kind, "path": path, "uid": 0, "gid": 0, **size, **more, "mode": 420}
    return json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n"


ODD = ['/a"b', '/","type":"file","path":"/', "/back\\slash", "/line\nfeed", "/é", '/"type":"file"', "/a b"]


@pytest.mark.parametrize("odd", ODD)
def test_files_in_a_listing(odd: str) -> None:
    lines = _line("/d", "dir") + _line("/d/one") + _line(odd, "dir") + _line(odd) + _line("/z", "symlink")
    assert output.files_in(lines) == [("/d/one", 71), (odd, 71)]


def test_files_in_a_listing_of_another_restic() -> None:
    lines = _line("/d/one") + '{"size":5,"struct_type":"node","path":"/d/two","name":"two","type":"file"}\n'
    assert output.files_in(lines) == [("/d/one", 71), ("/d/two", 5)]


@pytest.mark.parametrize(
    "torn", ['{"name":"x","type":"file","path":"/x","uid":0', '{"type":"file","path":"/x"}']
)
def test_a_file_that_cannot_be_read_is_not_overlooked(torn: str) -> None:
    with pytest.raises(ToolFailed, match="cannot read restic's list of files"):
        output.files_in(_line("/d/one") + torn)


def test_lines_stay_whole_wherever_a_stream_is_cut() -> None:
    text = "".join(map(_line, ["/é", "/b", "/cc"])).encode()
    for cut in range(len(text) + 1):
        found = list(output.whole_lines([text[:cut], text[cut:]]))
        assert "".join(found).encode() == text
        assert [file for lines in found for file in output.files_in(lines)] == [
            ("/é", 71),
            ("/b", 71),
            ("/cc", 71),
        ]
    assert list(output.whole_lines([b"a", b"b\nc", b"", b"d"])) == ["ab\n", "cd"]


def _ended(message: str) -> Completed:
    return Completed(1, b"", f"Fatal: {message}\n")


def test_a_directory_that_is_not_there() -> None:
    assert output.lacks(_ended("path a/b: not found"), "/a/b/c")
    assert output.lacks(
        Completed(1, b"", '{"message_type":"exit_error","message":"path a: not found"}'), "/a"
    )
    for other in (
        "path a/x: not found",
        "path a/b: id 12 not found in repository",
        "path a/b: not a directory",
    ):
        assert not output.lacks(_ended(f"path {other}"), "/a/b/c")
