"""What a pattern of images means."""

from __future__ import annotations

import pytest

from drkit.errors import UsageError
from drkit.registry import selection

DIGEST = f"sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    ("pattern", "repository", "covered"),
    [
        ("library", "library/app", True),
        ("library", "library/team/app", True),
        ("library", "library", True),
        ("library", "library2/app", False),
        ("library/app", "library/app", True),
        ("library/app", "library/app/tests", False),
        ("library/*", "library/team/app", True),
        ("*/app", "library/app", True),
        ("*", "app", True),
        ("libr?ry", "library", True),
        ("library/app:v1", "library/app", True),
        (f"library/app@{DIGEST}", "library/app", True),
    ],
)
def test_repositories(pattern: str, repository: str, covered: bool) -> None:
    assert selection.parse(pattern).covers(repository) is covered


@pytest.mark.parametrize(
    ("pattern", "tag", "meant"),
    [
        ("a/b", "", True),
        ("a/b", "v1", True),
        ("a/b:v1", "v1", True),
        ("a/b:v*", "v1", True),
        ("a/b:*", "", False),
        ("a/b:v1", "v1.0", False),
        (f"a/b@{DIGEST}", "", True),
        (f"a/b@{DIGEST[:20]}", "v1", True),
        (f"a/b@sha256:{'cd' * 32}", "v1", False),
        ("a:v1", "v1", True),
    ],
)
def test_tags_and_digests(pattern: str, tag: str, meant: bool) -> None:
    assert selection.parse(pattern).matches("a/b", tag, DIGEST) is meant


@pytest.mark.parametrize(
    "pattern", ["", ":v1", "a/b:", "a/b@", "a/b@sha256:12", "a/b@md5:123456789", "a b", "https://host/a/b"]
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(UsageError):
        selection.parse(pattern)


def test_the_nearest_names() -> None:
    chosen = selection.parse("library/ngnix:1")
    assert selection.nearest(chosen, ["library/nginx", "library/app", "other"])[0] == "library/nginx"
    assert selection.nearest(chosen, ["zzz"]) == ()
