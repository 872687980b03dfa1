"""Names of what is set aside: one ending, however often it happens."""

from __future__ import annotations

from pathlib import Path

from drkit.model.set_aside import free_path, is_aside

FIRST, SECOND = "20261128-020000-4f2a9c", "20261129-020000-aaaaaa"


def test_endings_do_not_chain(tmp_path: Path) -> None:
    once = free_path(tmp_path / "key", FIRST)
    assert once == tmp_path / f"key.before-{FIRST}"
    once.touch()
    twice = free_path(tmp_path / "key", FIRST)
    assert twice == tmp_path / f"key.before-{FIRST}-2"
    twice.touch()
    assert free_path(once, SECOND) == tmp_path / f"key.before-{SECOND}"
    assert free_path(twice, FIRST) == tmp_path / f"key.before-{FIRST}-3"
    assert all(map(is_aside, (once.name, twice.name)))
    assert not any(map(is_aside, ("key", "key.before-noon", "before")))


def test_a_long_name_stays_one_that_a_file_can_have(tmp_path: Path) -> None:
    for name in ("k" * 255, "\u20ac" * 85):
        (tmp_path / name).touch()
        aside = free_path(tmp_path / name, FIRST)
        (tmp_path / name).rename(aside)
        assert is_aside(aside.name)
