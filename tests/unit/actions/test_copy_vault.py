"""What a second vault lacks of an inventory."""

from __future__ import annotations

import pytest

from drkit.actions.copy.vault import lacking
from drkit.blobs.inventory import Entry


def entries(text: str) -> list[Entry]:
    """`a1 b2`: digests of one letter with their sizes."""
    return [Entry(word[0], f"key-{word[0]}", int(word[1:])) for word in text.split()]


@pytest.mark.parametrize(
    ("needed", "there", "missing"),
    [
        ("a1 b2", "a1 b2", ""),
        ("a1 b2", "a1 b2 c3", ""),
        ("", "a1", ""),
        ("a1 c3", "", "ac"),
        ("a1 b2 d4", "a1 c3", "bd"),
        ("a1 b2", "a1 b3", "b"),
        ("b2", "a1", "b"),
    ],
)
def test_what_is_not_there_with_its_size(needed: str, there: str, missing: str) -> None:
    assert list(lacking(entries(needed), entries(there))) == list(missing)
