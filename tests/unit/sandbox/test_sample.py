"""What a quick drill restores fits into little room."""

from __future__ import annotations

from drkit.registry.storage import Tag
from drkit.sandbox import sample

SMALL, MIDDLE, LARGE = (Tag("library/x", name, f"sha256:{name}") for name in ("small", "middle", "large"))
NEEDS = [{"base": 50, "large": 900}, {"base": 50, "small": 1}, {"base": 50, "middle": 40}]


def test_small_images_first_and_what_they_share_counts_once() -> None:
    chosen, wanted = sample.fitting([LARGE, SMALL, MIDDLE], NEEDS, 91)
    assert chosen == [SMALL, MIDDLE]
    assert wanted == {"base": 50, "small": 1, "middle": 40}


def test_all_of_them_where_there_is_room() -> None:
    chosen, wanted = sample.fitting([LARGE, SMALL, MIDDLE], NEEDS, 1000)
    assert chosen == [SMALL, MIDDLE, LARGE]
    assert sum(wanted.values()) == 991


def test_one_in_any_case() -> None:
    assert sample.fitting([LARGE], NEEDS[:1], 10) == ([LARGE], NEEDS[0])
    assert sample.fitting([], [], 10) == ([], {})


def test_every_tag_has_its_chance() -> None:
    tags = [Tag("r", str(number), "sha256:x") for number in range(8)]
    seen = {tag for _ in range(400) for tag in sample.pick(iter(tags), 2)}
    assert seen == set(tags)
    assert sample.pick(iter(tags[:1]), 2) == tags[:1]
