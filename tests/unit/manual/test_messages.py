"""What drkit's messages send people to exists: commands with their options, keys of the configuration."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.unit.manual import command_line
from tests.unit.manual.command_line import COMMANDS
from tests.unit.manual.pages import TOP
from tests.unit.manual.test_configuration import headings

# What an f-string fills in, which nobody knows before.
FILLED = "\N{REPLACEMENT CHARACTER}"
_KEY = re.compile(r"\b(?:see|set|raise|as|to|of) ([a-z]+(?:_[a-z]+)*) in (\[+[a-z_]+\]+)")


@cache
def messages() -> tuple[tuple[str, str], ...]:
    """Each string of drkit's code, docstrings apart, with the file that it stands in."""
    return tuple(
        (str(path.relative_to(TOP)), text)
        for path in sorted((TOP / "drkit").rglob("*.py"))
        for text in _strings(ast.parse(path.read_text(encoding="utf-8")))
    )


def _strings(tree: ast.Module) -> Iterator[str]:
    nodes = list(ast.walk(tree))
    passed = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    passed |= {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if id(node) in passed:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(map(_piece, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _piece(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else FILLED


def commands() -> list[tuple[str, str]]:
    """The commands of drkit that stand in backticks, once each."""
    found = {(file, span) for file, text in messages() for span in re.findall(r"`drkit ([^`]+)`", text)}
    return sorted(found)


def keys() -> list[tuple[str, str, str]]:
    """`state in [site]`: the file, the key and the section, once each."""
    return sorted({(file, *found) for file, text in messages() for found in _KEY.findall(text)})


def test_there_is_something_to_look_at() -> None:
    assert len(commands()) > 30
    assert len(keys()) > 20


@pytest.mark.parametrize(("file", "command"), commands())
def test_a_command_that_a_message_names_exists(file: str, command: str) -> None:
    words = command.split()
    if FILLED in words[0] or words == ["--help"]:
        return
    _, name, rest = command_line.find(words)
    given = {word for word in rest if word.startswith("-")}
    assert given <= command_line.options(COMMANDS[name]) | {"--help"}


@pytest.mark.parametrize(("file", "key", "section"), keys())
def test_a_key_that_a_message_names_exists(file: str, key: str, section: str) -> None:
    assert any(key in kind.model_fields for kind in headings()[section])
