"""Other names at the target."""

from __future__ import annotations

import pytest

from drkit.actions.restore_images.rename import parse, renamed
from drkit.errors import UsageError


@pytest.mark.parametrize(
    ("texts", "image", "new"),
    [
        ([], ("a/b", "v1"), ("a/b", "v1")),
        (["a=c"], ("a/b", "v1"), ("c/b", "v1")),
        (["a=c"], ("ab/b", "v1"), ("ab/b", "v1")),
        (["a/b=c/d/e"], ("a/b", ""), ("c/d/e", "")),
        (["a/b:v1=a/b:v1-old"], ("a/b", "v1"), ("a/b", "v1-old")),
        (["a/b:v1=a/b:v1-old"], ("a/b", "v2"), ("a/b", "v2")),
        (["a/b=x/b", "a=c"], ("a/d", "v1"), ("c/d", "v1")),
        (["a/b=x/b", "a=c"], ("a/b", "v1"), ("x/b", "v1")),
    ],
)
def test_names(texts: list[str], image: tuple[str, str], new: tuple[str, str]) -> None:
    assert renamed(parse(texts), *image) == new


@pytest.mark.parametrize("text", ["a", "a=", "=b", "A=b", "a:v1=b", "a=b:v1", "a/../b=c", "a=b=c"])
def test_what_is_no_renaming(text: str) -> None:
    with pytest.raises(UsageError):
        parse([text])
