"""The manual as data: pages with headings, tables, code blocks and code spans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

TOP = Path(__file__).parents[3]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Section:
    """A heading without its `#`, and what stands below it up to the next one."""

    title: str
    text: str

    @property
    def anchor(self) -> str:
        """The name that a link to it has, as GitHub makes it."""
        return re.sub(r"[^\w\- ]", "", self.title.lower()).replace(" ", "-")

    def table(self) -> list[list[str]]:
        """The rows of its tables, without their headings."""
        rows = [line for line in self.text.splitlines() if line.startswith("|")]
        cells = [[cell.strip().replace("\\|", "|") for cell in _CELL.split(row)[1:-1]] for row in rows]
        # A table begins with its headings and a line of dashes.
        dashes = {number for number, row in enumerate(cells) if set("".join(row)) == {"-"}}
        return [row for number, row in enumerate(cells) if not {number, number + 1} & dashes]


@dataclass(frozen=True)
class Page:
    """A page by its path from the top."""

    name: str

    @cached_property
    def text(self) -> str:
        return (TOP / self.name).read_text(encoding="utf-8")

    def blocks(self, *languages: str) -> list[str]:
        """The code blocks in one of these languages."""
        return [match[2] for match in _BLOCK.finditer(self.text) if match[1] in languages]

    @cached_property
    def prose(self) -> str:
        """The page without its code blocks."""
        return _BLOCK.sub("", self.text)

    def spans(self) -> list[str]:
        """What stands between backticks in the prose, each on one line."""
        return [" ".join(span.replace("\\|", "|").split()) for span in re.findall(r"`([^`]+)`", self.prose)]

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        # What looks like a heading in a code block is a prompt.
        pieces = re.split(r"^#+ (.*)$", self.prose, flags=re.MULTILINE)[1:]
        return tuple(Section(title, text) for title, text in zip(pieces[::2], pieces[1::2], strict=True))

    def section(self, title: str) -> Section:
        """The one section of that title."""
        (found,) = (section for section in self.sections if section.title == title)
        return found

    def links(self) -> Iterator[str]:
        """Where its links lead that stay within the project."""
        for target in re.findall(r"\]\(([^)\s]+)\)", self.prose):
            if "://" not in target:
                yield target


README = Page("README.md")
DOCS = {path.stem: Page(f"docs/{path.name}") for path in sorted((TOP / "docs").glob("*.md"))}
PAGES = (README, *DOCS.values())


def codes(cell: str) -> list[str]:
    """What stands between backticks in a cell of a table."""
    return re.findall(r"`([^`]+)`", cell)
