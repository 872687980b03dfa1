"""What comes back with an image: children, layers, signatures, SBOMs; found in the recovery point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

from drkit.actions.restore_images.rename import Rename, renamed
from drkit.errors import WrongBytes
from drkit.registry import image_list
from drkit.registry.image_list import Listed
from drkit.registry.selection import Selection
from drkit.serving import requests
from drkit.serving.images import Images
from drkit.tools.registry import Manifest, parse_manifest


@dataclass(frozen=True)
class ChosenManifest:
    """A manifest to push: its media type and length; `root` is one that nothing else leads to.

    `about` is the digest of what it refers to and how a list of referrers describes it.
    """

    digest: str
    kind: str
    size: int
    root: bool
    about: tuple[str, dict[str, Any]] | None = None

    @property
    def is_index(self) -> bool:
        """Whether it names other manifests, which must be there before it."""
        return "index" in self.kind or "manifest.list" in self.kind


@dataclass
class Chosen:
    """What of one repository goes to one repository of the target.

    `manifests` in the order in which they can be pushed; `tags` as (name there, digest); `lacking` says what
    the point does not have whole.
    """

    source: str
    target: str
    manifests: dict[str, ChosenManifest] = field(default_factory=dict)
    blobs: dict[str, int] = field(default_factory=dict)
    tags: list[tuple[str, str]] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)


def choose(
    images: Images, selection: Selection, renames: Sequence[Rename], *, by_list: bool
) -> Iterator[Chosen]:
    """What a selection means, a repository after the other; `by_list`: a list names accessories."""
    for repository, group in groupby(images.names.covered(selection), attrgetter("repository")):
        held = list(group)
        meant = [each for each in held if selection.matches(repository, each.tag, each.digest)]
        if not meant:
            continue
        found: dict[str, Chosen] = {}
        walk = _Walk(images, repository, held, by_list=by_list)
        for each in meant:
            # An image by its digest comes without the tags that it had.
            tag = "" if selection.digest is not None else each.tag
            name, new_tag = renamed(renames, repository, tag)
            into = found.setdefault(name, Chosen(repository, name))
            if image_list.lists_referrers(each.tag):
                walk.listed(into, each.digest)
            else:
                walk.image(into, each.digest, [new_tag] if tag else [])
        yield from found.values()


class _Walk:
    """Follows images of one repository to all that they are made of, and to what is about them."""

    def __init__(self, images: Images, repository: str, held: Iterable[Listed], *, by_list: bool) -> None:
        self._images = images
        self._repository = repository
        self._by_list = by_list
        self._about: dict[str, list[Listed]] = {}
        for each in held:
            if each.subject:
                self._about.setdefault(each.subject, []).append(each)
        self._whole: dict[tuple[str, str], bool] = {}

    def image(self, into: Chosen, digest: str, tags: Sequence[str]) -> None:
        """An image with what is about it, and the tags that it shall have; not where it is not whole."""
        if self._manifest(into, digest, root=True):
            into.tags += ((tag, digest) for tag in tags if (tag, digest) not in into.tags)

    def listed(self, into: Chosen, digest: str) -> None:
        """What a list of referrers names: the target has a list of its own, which may name more."""
        facts = self._read(into, digest, root=True)
        for child in facts[0].children if facts else ():
            self.image(into, child.digest, ())

    def _manifest(self, into: Chosen, digest: str, *, root: bool) -> bool:
        """Choose a manifest and all below it; returns whether all of it is there."""
        key = (into.target, digest)
        if key in self._whole:
            return self._whole[key]
        # An index that contains itself ends here.
        self._whole[key] = False
        facts = self._read(into, digest, root=root)
        if facts is None:
            return False
        manifest, chosen = facts
        # All of them, so that everything is named that is not there.
        parts = [self._manifest(into, child.digest, root=False) for child in manifest.children]
        whole = all((*parts, self._blobs(into, manifest)))
        self._whole[key] = whole
        if whole:
            into.manifests[digest] = chosen
            self._accessories(into, digest)
        return whole

    def _read(self, into: Chosen, digest: str, *, root: bool) -> tuple[Manifest, ChosenManifest] | None:
        try:
            data = self._images.manifest(self._repository, digest)
        except WrongBytes:
            into.lacking.append(f"{self._repository}@{digest} has other bytes")
            return None
        if data is None:
            into.lacking.append(f"{self._repository}@{digest} is not there")
            return None
        about = requests.referrer(digest, data)
        chosen = ChosenManifest(digest, requests.media_type(data), len(data), root, about)
        return parse_manifest(digest, data), chosen

    def _blobs(self, into: Chosen, manifest: Manifest) -> bool:
        found: dict[str, int] = {}
        for blob in manifest.blobs:
            there = self._images.blob(self._repository, blob.digest)
            if there is not None and blob.size in (there.size, -1):
                found[blob.digest] = there.size
            elif not blob.foreign:
                said = "is not there" if there is None else "has another size"
                into.lacking.append(f"layer {blob.digest} of {self._repository}@{manifest.digest} {said}")
                return False
        into.blobs |= found
        return True

    def _accessories(self, into: Chosen, digest: str) -> None:
        """What is about a manifest: by the list, or by cosign's tags and the manifests themselves."""
        for each in self._about.get(digest, ()):
            if image_list.lists_referrers(each.tag):
                self.listed(into, each.digest)
                continue
            self.image(into, each.digest, [each.tag] if each.tag else [])
        if self._by_list:
            return
        try:
            about = self._images.referrers(self._repository, digest)
        except WrongBytes as error:
            into.lacking.append(f"what refers to {self._repository}@{digest} cannot be told: {error.message}")
            return
        for described in about:
            self.image(into, str(described["digest"]), ())
