"""What is gone, new or changed between a recovery point and now."""

from __future__ import annotations

import hashlib

from drkit.actions.images.compare import KindCompared, compare_images, compare_names
from drkit.harbor.named import Named
from drkit.registry.image_list import Listed


def digest(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"


def image(repository: str, tag: str, what: str, kind: str = "image") -> Listed:
    return Listed(repository, tag, digest(what), kind=kind)  # type: ignore[arg-type]


def test_names() -> None:
    then = [Named("project", "a"), Named("project", "b"), Named("robot", "ci")]
    now = [
        Named("member", "a: joe, guest"),
        Named("project", "a"),
        Named("project", "c"),
        Named("project", "d"),
    ]
    assert compare_names(then, now) == [
        KindCompared("member", new=1),
        KindCompared("project", gone=1, new=2, gone_names=["b"]),
        KindCompared("robot", gone=1, gone_names=["ci"]),
    ]
    assert compare_names(then, then) == [KindCompared("project"), KindCompared("robot")]
    assert compare_names([], []) == []


def test_images() -> None:
    then = [
        image("a/b", "", "child", "child"),
        image("a/b", "", "sbom", "accessory"),
        image("a/b", "", "untagged"),
        image("a/b", "v1", "one"),
        image("a/b", "v2", "two"),
        image("a/b", "v3", "three"),
        image("a/gone", "", "x"),
        image("a/gone", "v1", "y"),
    ]
    now = [
        image("a/b", "", "two"),
        image("a/b", "v1", "one"),
        image("a/b", "v2", "other"),
        image("a/b", "v4", "four"),
        image("a/new", "v1", "z"),
    ]
    repositories, tags, images = compare_images(sorted(then), sorted(now))
    assert repositories == KindCompared("repository", gone=1, new=1, gone_names=["a/gone (1 tags)"])
    assert tags == KindCompared("tag", gone=1, moved=1, new=1, gone_names=["a/b:v3"], moved_names=["a/b:v2"])
    # What has only lost its tag is there.
    assert images == KindCompared("untagged image", gone=1, gone_names=[f"a/b@{digest('untagged')}"])


def test_no_more_than_a_thousand_are_named() -> None:
    (found,) = compare_names([Named("robot", f"{n:05}") for n in range(1500)], [])
    assert (found.gone, len(found.gone_names)) == (1500, 1000)
