"""Every key of the configuration stands in the manual with its default, and what stands there exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from drkit.config import Config, parse_config
from drkit.config.explain import sections_in
from drkit.config.fields import parse_duration
from tests.unit.config.test_config import REPOSITORY, SITE
from tests.unit.manual.pages import DOCS, PAGES, codes

MANUAL = DOCS["configuration"]
REPEATED = ("database", "repository", "hook")


def headings() -> dict[str, list[type[Any]]]:
    """`[[database]]` -> the classes that it may be: [blobs] has two."""
    found = {}
    for name, field in Config.model_fields.items():
        title = field.alias or name
        heading = f"[[{title}]]" if title in REPEATED else f"[{title}]"
        found[heading] = list(sections_in(field.annotation))
    return found


def documented() -> Iterator[tuple[str, dict[str, str]]]:
    """Each section of the manual: its heading, and key -> what stands for the default."""
    for section in MANUAL.sections:
        if match := re.match(r"`(\[+\w+\]+)`", section.title):
            yield match[1], {codes(row[0])[0]: row[1] for row in section.table()}


def known() -> Iterator[tuple[str, dict[str, FieldInfo]]]:
    """The same of the model."""
    for heading, kinds in headings().items():
        for kind in kinds:
            yield heading, {field.alias or name: field for name, field in kind.model_fields.items()}


def test_the_sections_are_those_of_the_model_in_its_order() -> None:
    assert [heading for heading, _ in documented()] == [heading for heading, _ in known()]


@pytest.mark.parametrize(
    ("heading", "keys", "fields"),
    [(h, keys, fields) for (h, keys), (_, fields) in zip(documented(), known(), strict=True)],
)
def test_a_section_has_each_key_with_its_default(
    heading: str, keys: dict[str, str], fields: dict[str, FieldInfo]
) -> None:
    assert keys.keys() == fields.keys()
    for key, said in keys.items():
        assert agrees(said, fields[key]), f"{heading} {key}: {said}"


def agrees(said: str, field: FieldInfo) -> bool:
    """Whether what stands for a default is the default."""
    if field.is_required():
        return said == "required"
    match field.default:
        case None | () | "":
            return said == "none"
        case timedelta() as default:
            return parse_duration(codes(said)[0]) == default
        case bool() as default:
            return codes(said) == [str(default).lower()]
        case default:
            return codes(said) == [str(default)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_sections_and_keys_that_are_mentioned_exist(page: Any) -> None:
    sections = headings()
    for heading in (span for span in page.spans() if re.fullmatch(r"\[+[a-z_]+\]+", span)):
        assert heading in sections, heading
    for key, heading in re.findall(r"`([a-z_]+)(?: = [^`]*)?`\s+in\s+`(\[+\w+\]+)`", page.prose):
        assert any(key in kind.model_fields for kind in sections[heading]), f"{key} in {heading}"


@pytest.mark.parametrize("block", [block for page in PAGES for block in page.blocks("toml")])
def test_an_example_is_a_configuration(block: str) -> None:
    """With what every site needs, where the example leaves that out."""
    site = "" if "[site]" in block else SITE
    repository = "" if "[[repository]]" in block else REPOSITORY
    parse_config(f"{site}{block}{repository}", "drkit.toml")


def test_there_are_mentions_and_examples() -> None:
    prose = "".join(page.prose for page in PAGES)
    assert len(re.findall(r"`[a-z_]+`\s+in\s+`\[+\w+\]+`", prose)) > 5
    assert sum(len(page.blocks("toml")) for page in PAGES) > 2
