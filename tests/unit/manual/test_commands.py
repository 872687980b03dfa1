"""Every command and every option stands in the manual, and what stands there exists."""

from __future__ import annotations

import re
import shlex

import pytest

from drkit.points import seals
from tests.unit.manual import command_line
from tests.unit.manual.command_line import COMMANDS, ROOT
from tests.unit.manual.pages import DOCS, PAGES, TOP, Page, codes

MANUAL = DOCS["commands"]
PARSERS = {"drkit": ROOT, **{f"drkit {name}": command for name, command in COMMANDS.items()}}
_PLACEHOLDERS = {"COMMAND", "VERB", "..."}


def console_lines(page: Page) -> list[str]:
    """The commands that a page tells to type, continued lines put together."""
    text = "\n".join(page.blocks("console")).replace("\\\n", " ")
    return re.findall(r"^[#$] (.*)$", text, re.MULTILINE)


def drkit_lines() -> list[tuple[str, str]]:
    """Page and command line, without the remark that may follow it."""
    return [
        (page.name, line.partition("  #")[0])
        for page in PAGES
        for line in console_lines(page)
        if line.startswith("drkit ")
    ]


def drkit_spans() -> list[tuple[str, str]]:
    """Page and code span, for those that begin with drkit or one of its commands."""
    found = []
    for page in PAGES:
        for span in page.spans():
            first = span.split()[0]
            verb = any(name.split()[0] == first for name in COMMANDS) and " -" in span
            if (first == "drkit" and span != "drkit") or verb:
                found.append((page.name, span))
    return found


def test_the_manual_has_a_section_for_each_command() -> None:
    titles = [section.title.strip("`") for section in MANUAL.sections if section.title.startswith("`drkit")]
    assert sorted(titles) == sorted(PARSERS)


@pytest.mark.parametrize("name", PARSERS)
def test_a_section_has_each_option_and_argument_and_no_other(name: str) -> None:
    rows = MANUAL.section(f"`{name}`").table()
    assert {text for row in rows for text in codes(row[0])} == command_line.usage(PARSERS[name])


def test_there_are_commands_to_look_at() -> None:
    assert len(drkit_lines()) > 15
    assert len(drkit_spans()) > 15


@pytest.mark.parametrize(("page", "line"), drkit_lines())
def test_a_command_to_type_is_one_that_drkit_takes(page: str, line: str) -> None:
    command_line.parse(shlex.split(line)[1:])


@pytest.mark.parametrize(("page", "span"), drkit_spans())
def test_a_command_that_is_mentioned_exists_with_its_options(page: str, span: str) -> None:
    words = [word for word in shlex.split(span) if not word.startswith("[")]
    words = words[1:] if words[0] == "drkit" else words
    if words in (["keys"], ["--help"]) or _PLACEHOLDERS & set(words):
        return
    _, name, rest = command_line.find(words)
    given = {word for word in rest if word.startswith("-")}
    assert given <= command_line.options(COMMANDS[name]) | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_an_option_that_stands_alone_is_one_of_drkits(page: Page) -> None:
    every = {option for parser in PARSERS.values() for option in command_line.options(parser)}
    if page is DOCS["break-glass"]:
        every |= {text.split()[0] for text in script_options()}
    alone = {span.split()[0] for span in page.spans() if span.startswith("-")}
    assert alone <= every


def script_options() -> set[str]:
    """The options of recover.sh with their placeholders, as its own usage text has them."""
    text = (TOP / "drkit/reports/templates/recover.sh").read_text(encoding="utf-8")
    usage = text.partition("<<'END_OF_USAGE'")[2].partition("END_OF_USAGE")[0]
    return set(re.findall(r"^  (--\w+(?: [A-Z]+)?) {2,}", usage, re.MULTILINE))


def test_the_options_of_the_recovery_script() -> None:
    rows = next(s.table() for s in DOCS["break-glass"].sections if s.table())
    assert script_options() == {text for row in rows for text in codes(row[0])}


def test_restic_finds_the_seals_by_the_tag_that_is_named() -> None:
    named = {tag for page in PAGES for tag in re.findall(r"--tag (drkit:[\w:]+)", page.text)}
    assert named == {seals.SEAL}


def test_programs_of_the_test_environment_exist_with_their_options() -> None:
    lines = [line for page in PAGES for line in [*page.spans(), *console_lines(page)]]
    named = [line.partition("  #")[0].split() for line in lines if re.match(r"(testenv|\.ci)/\w", line)]
    assert len(named) > 8
    python = "".join(path.read_text(encoding="utf-8") for path in (TOP / "testenv").rglob("*.py"))
    for program, *words in named:
        sources = python + (TOP / program).read_text(encoding="utf-8")
        for option in (word for word in words if word.startswith("--")):
            assert f'"{option}"' in sources, f"{program} {option}"
