"""Links lead somewhere, every page is reached, and what the pages and drkit's messages name is there."""

from __future__ import annotations

import re

import pytest

from tests.unit.manual.pages import DOCS, PAGES, README, TOP, Page

SOURCES = [path for path in (TOP / "drkit").rglob("*") if path.suffix in (".py", ".sh", ".txt", ".html")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_a_page_and_a_heading(page: Page) -> None:
    by_path = {(TOP / each.name).resolve(): each for each in PAGES}
    for link in page.links():
        name, _, anchor = link.partition("#")
        target = (TOP / page.name).parent / name if name else TOP / page.name
        found = by_path[target.resolve()]
        assert not anchor or anchor in [section.anchor for section in found.sections], link


def test_the_readme_leads_to_every_page() -> None:
    assert {link for link in README.links() if "#" not in link} == {page.name for page in DOCS.values()}


def test_the_readme_is_read_to_the_end() -> None:
    assert len(README.text.splitlines()) <= 150


def test_messages_name_pages_that_exist() -> None:
    named = {page for path in SOURCES for page in re.findall(r"docs/[\w-]+\.md", path.read_text())}
    assert named
    assert named <= {page.name for page in DOCS.values()}


def test_no_message_sends_anybody_to_the_readme() -> None:
    """It is a beginning; what a message is about stands on a page of its own."""
    assert not [path for path in SOURCES if "README" in path.read_text()]


def test_variables_of_the_environment_are_read_somewhere() -> None:
    named = {name for page in PAGES for name in re.findall(r"\bDRKIT_[A-Z0-9_]+", page.text)}
    code = [path for top in ("drkit", "tests", "testenv") for path in (TOP / top).rglob("*.py")]
    everything = "".join(path.read_text() for path in code if "manual" not in path.parts)
    assert "DRKIT_CONFIG" in named
    assert [name for name in named if name not in everything] == []


def test_the_map_of_the_source_is_whole() -> None:
    listed = set(re.findall(r"`((?:drkit|testenv|findings|tests|\.ci)/[\w./]*)`", DOCS["source"].text))
    assert not [path for path in listed if not (TOP / path).exists()]
    packages = {f"drkit/{path.parent.name}/" for path in (TOP / "drkit").glob("*/__init__.py")}
    assert packages <= listed
