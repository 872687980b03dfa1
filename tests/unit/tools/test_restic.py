"""What can be said about restic without running it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from drkit.errors import (
    ConfigError,
    ToolFailed,
    ToolTooOld,
)
from drkit.tools import restic, restic_output


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("restic 0.18.0 compiled with go1.24.4 on linux/amd64\n", (0, 18, 0)),
        ("restic 0.17.3-dev (compiled manually)", (0, 17, 3)),
        ("restic 1.0", (1, 0, 0)),
    ],
)
def test_versions(text: str, version: tuple[int, int, int]) -> None:
    assert restic_output.parse_version(text) == version


def test_what_is_no_version() -> None:
    with pytest.raises(ToolFailed, match=r"cannot read restic's version from 'borg 1\.4'"):
        restic_output.parse_version("borg 1.4")


def test_one_that_is_too_old() -> None:
    restic.require((0, 17, 0))
    with pytest.raises(ToolTooOld) as caught:
        restic.require((0, 16, 4))
    assert caught.value.message == "restic 0.16.4 is too old: drkit needs 0.17 or later"


@pytest.mark.parametrize("text", ["5%", "0.5%", "100%", "1/7", "7/7", "2G", "500M"])
def test_parts_of_the_data(text: str) -> None:
    assert restic_output.is_subset(text)


@pytest.mark.parametrize("text", ["", "5", "0%", "101%", "%", "0/7", "8/7", "1/0", "0G", "2g", "-1G", "5% "])
def test_what_is_no_part_of_the_data(text: str) -> None:
    assert not restic_output.is_subset(text)


def test_credentials(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("# keys\n\nAWS_ACCESS_KEY_ID=id-1\nexport AWS_SECRET_ACCESS_KEY='a=b'\n")
    assert restic.read_credentials(path) == {"AWS_ACCESS_KEY_ID": "id-1", "AWS_SECRET_ACCESS_KEY": "a=b"}
    assert restic.read_credentials(None) == {}


@pytest.mark.parametrize("line", ["AWS_ACCESS_KEY_ID", "aws=1", "two words=1", "=1"])
def test_what_are_no_credentials(tmp_path: Path, line: str) -> None:
    path = tmp_path / "env"
    path.write_text(f"A=1\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        restic.read_credentials(path)
    assert caught.value.message == f"{path}, line 2: not KEY=value"


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
    assert restic_output.telling(_DUMP_SAID, _RESTIC_SAID) == [_DUMP_SAID[0], *_RESTIC_SAID]
    many = [_DUMP_SAID[0], *(f"line {number} of the query" for number in range(50))]
    assert restic_output.telling(many, _RESTIC_SAID) == [_DUMP_SAID[0], *_RESTIC_SAID]


def test_what_a_command_below_restic_said_last_is_told_where_it_names_no_error() -> None:
    said = ["begins", "disk on fire"]
    assert restic_output.telling(said, ["a", "b", "c"]) == ["disk on fire", "b", "c"]


def test_what_restic_alone_said_is_told_as_it_is() -> None:
    assert restic_output.telling([], ["a", "b", "c", "d"]) == ["a", "b", "c", "d"]


def test_of_very_many_words_the_first_are_read() -> None:
    file = io.BytesIO(b"pg_dump: error: first\n" + b"x" * 79 * (1 << 20))
    file.read()
    assert restic_output.words_below(file)[0] == "pg_dump: error: first"
    assert sum(map(len, restic_output.words_below(file))) <= 1 << 20
