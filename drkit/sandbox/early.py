"""One image ahead of all others, so that it can be pulled while they are still being restored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from pathlib import Path

from drkit.blobs.dangling import Known
from drkit.errors import RestoreDamaged, ToolFailed
from drkit.registry import image_list, image_manifests, links, storage
from drkit.registry.storage import Tag

# What comes first delays all else.
_LARGEST = 64 << 20
_CANDIDATES = 4
_LOOKED_AT = 1000
# An index, its manifests, their layers.
_ROUNDS = 3
# Restores these repositories' links, every repository's where that is None, and these blobs.
Bring = Callable[[Collection[str] | None, Collection[str]], None]


def bring_one(root: Path, listed: Path | None, dangling: Known, bring: Bring) -> Tag | None:
    """Restore one image of moderate size below the registry's root directory; None where none was found.

    `listed` is the point's list of images, without which the links tell the tags. Raises what `bring` raises.
    """
    if listed is not None:
        tags = _first_of(listed, dangling)
        bring({tag.repository for tag in tags}, {tag.digest for tag in tags})
    else:
        bring(None, ())
        served = (tag for tag in storage.tags(root) if storage.is_digest(tag.digest))
        tags = [t for t in islice(served, _CANDIDATES) if not dangling.tag(t.repository, t.name)]
        bring((), {tag.digest for tag in tags})
    return next((tag for tag in _in_order(root, tags) if _complete(root, tag, bring)), None)


def _first_of(listed: Path, dangling: Known) -> list[Tag]:
    try:
        return list(islice(_candidates(listed, dangling), _CANDIDATES))
    except RestoreDamaged:
        # A check says so.
        return []


def _candidates(listed: Path, dangling: Known) -> Iterator[Tag]:
    for each in islice(image_list.from_file(listed), _LOOKED_AT):
        moderate = each.size is not None and 0 < each.size <= _LARGEST
        if each.tag and each.kind == "image" and moderate and not dangling.tag(each.repository, each.tag):
            yield Tag(each.repository, each.tag, each.digest)


def _in_order(root: Path, tags: Iterable[Tag]) -> list[Tag]:
    """Those that can be had, plain images first: an index takes a round more."""
    found = []
    for tag in tags:
        try:
            needs = image_manifests.read(root, tag.digest)
        except ToolFailed:
            continue
        if sum(max(0, blob.size) for blob in needs.every) <= _LARGEST:
            found.append((len(needs.children), tag))
    return [tag for _, tag in sorted(found, key=lambda each: each[0])]


def _complete(root: Path, tag: Tag, bring: Bring) -> bool:
    """Bring what an image lacks; whether it is whole then."""
    for _ in range(_ROUNDS):
        try:
            missing = set(_missing(root, tag))
        except ToolFailed:
            return False
        if not missing:
            return True
        bring((), missing)
    return False


def _missing(root: Path, tag: Tag) -> Iterator[str]:
    left = [tag.digest]
    while left:
        digest = left.pop()
        if not storage.blob_path(root, digest).exists():
            yield digest
            continue
        needs = image_manifests.read(root, digest)
        left += [child.digest for child in needs.children]
        for blob in needs.blobs:
            stored = links.stored_digest(root, tag.repository, blob.digest)
            if not storage.blob_path(root, stored).exists():
                yield stored
