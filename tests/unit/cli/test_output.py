"""What is printed at which width: between words it is wrapped, within one never."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from drkit.cli.output import Output, Table, wrapped

POINT = "20261124-161451-8f1bf8"
ADDRESS = "s3://harbor-images-of-the-whole-company/registry at https://minio.storage.example.com:9000"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(what: str | Text | Table, width: int | None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines on a terminal of that width, or where no terminal is."""
    stream = _Terminal() if width else io.StringIO()
    if width:
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "xterm")
    Output(stream).print(what)
    return re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue()).splitlines()


def points() -> Table:
    table = Table("point", "status", ">size", "where it is")
    table.add_row(POINT, Text("sealed", style="green"), "1,023.4 MiB", f"the vault {ADDRESS}")
    table.add_row(POINT[::-1], "incomplete", "1 B", "-")
    return table


@pytest.mark.parametrize("width", [20, 30, 40, 60, 79, 80, 120, 200])
def test_what_is_copied_stays_in_one_piece(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(printed(points(), width, monkeypatch))
    for piece in (POINT, POINT[::-1], *ADDRESS.split(), "1,023.4 MiB"):
        assert piece in text


def test_without_a_terminal_nothing_is_wrapped_and_nothing_added(monkeypatch: pytest.MonkeyPatch) -> None:
    long = "word " * 1000
    table = Table("name", "said")
    table.add_row("a", long)
    assert printed(table, None, monkeypatch) == ["name  said", f"a     {long}".rstrip()]
    assert printed(long, None, monkeypatch) == [long.rstrip()]


def test_the_long_column_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("stage", ">time", "said")
    table.add_row("load", "3 min 4 s", "a b c d e f g h i j k l m n o p q r")
    assert printed(table, 44, monkeypatch) == [
        "stage       time  said",
        "load   3 min 4 s  a b c d e f g h i j k l m",
        "                  n o p q r",
    ]


def test_a_table_that_fits_nowhere_is_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table("restore", "to", ">size", "there now")
    table.add_row("image blobs", f"bucket {'x' * 40}", "2 GiB", "nothing")
    table.add_row("secrets", "their old places", "1 KiB", "nothing")
    assert printed(table, 60, monkeypatch) == [
        "restore    image blobs",
        f"to         bucket {'x' * 40}",
        "size       2 GiB",
        "there now  nothing",
        "",
        "restore    secrets",
        "to         their old places",
        "size       1 KiB",
        "there now  nothing",
    ]


def test_facts_whose_names_are_too_long_stand_below_them(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Table()
    facts.add_row(f"  /{'k' * 40}", "opens the repository; without it no backup can be read")
    assert printed(facts, 50, monkeypatch) == [
        f"  /{'k' * 40}",
        "      opens the repository; without it no backup",
        "      can be read",
    ]


def test_nothing_that_is_printed_moves_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image's tag or a file's name may be anybody's."""
    assert printed("a\x1b[2Jb\x9bc", 80, monkeypatch) == ["a?[2Jb?c"]
    table = Table("name")
    table.add_row("\x1b]0;title\x07")
    assert printed(table, 80, monkeypatch) == ["name", "?]0;title"]


def test_brackets_are_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed("see [secrets] and [red]", 80, monkeypatch) == ["see [secrets] and [red]"]


@given(st.text(st.sampled_from("ab/ \n漢"), max_size=60), st.integers(1, 30))
def test_wrapping_loses_no_word_and_breaks_none(words: str, width: int) -> None:
    lines = wrapped(words, width)
    assert " ".join(line.plain for line in lines).split() == words.split()
    for line in lines:
        assert line.cell_len <= max(width, len(line.plain) - len(line.plain.lstrip()) + 2 * 60)
        if len(line.plain.split()) > 1:
            assert line.cell_len <= width, "only a single word may stick out"
