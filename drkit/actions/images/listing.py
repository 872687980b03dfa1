"""`drkit show POINT --images PATTERN`: which images a point has, and where what it lacks was last."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from drkit import config
from drkit.actions.images import opening
from drkit.errors import NoSuchImage, ToolFailed
from drkit.model import PointManifest, utc_now
from drkit.points import seals
from drkit.points.catalog import Catalog, open_catalog
from drkit.progress import Listener, Update, silent
from drkit.registry import image_list, selection
from drkit.registry.image_list import Listed
from drkit.registry.selection import Selection
from drkit.serving.names import TreeNames
from drkit.state.directory import new_id, private_directory
from drkit.tools.parallel import in_order
from drkit.tools.restic import mount
from drkit.tools.restic.mount import Mount

log = logging.getLogger(__name__)

# So many are named; the count is that of all.
_MOST = 10_000
# Names of repositories to look for near ones among.
_NAMES = 100_000
_READERS = 4


@dataclass(frozen=True)
class ImageLine:
    """An image by one of its tags, or untagged; `accessories` counts its signatures, SBOMs and the like.

    `size` is that of the whole image, None where the point does not tell.
    """

    repository: str
    tag: str | None
    digest: str
    size: int | None
    accessories: int


@dataclass(frozen=True)
class ImagesFound:
    """The images of a point that a pattern names: how many, and up to 10,000 of them."""

    point: str
    consistent_at: datetime
    pattern: str
    count: int
    images: tuple[ImageLine, ...]


def find(
    settings: config.Config,
    wanted: str,
    pattern: str,
    listener: Listener = silent,
    repository: str | None = None,
) -> ImagesFound:
    """The images of a point that a pattern names.

    Raises UsageError for what is no pattern, NoSuchPoint, and NoSuchImage where nothing matches: with the
    newest other point that has it, or else with the nearest names.
    """
    chosen = selection.parse(pattern)
    settings = settings.at(repository)
    catalog = open_catalog(settings, repository)
    point, manifest = catalog.find(wanted)
    opening.refuse_without_images(manifest)
    with contextlib.ExitStack() as stack:
        lists = Lists(catalog, stack)
        count, lines = 0, list[ImageLine]()
        for line in matching(lists.covered(manifest, chosen), chosen):
            count += 1
            if len(lines) < _MOST:
                lines.append(line)
        if not count:
            raise _nothing(catalog, lists, manifest, chosen, listener)
    return ImagesFound(point.id, manifest.consistent_at, pattern, count, tuple(lines))


def matching(images: Iterable[Listed], chosen: Selection) -> Iterator[ImageLine]:
    """The images that are meant, each with the number of its accessories.

    Children of an index and accessories belong to others, and are named where a tag or digest asks for them.
    """
    for repository, group in groupby(images, attrgetter("repository")):
        held = list(group)
        of = Counter(subject for subject, _ in {(e.subject, e.digest) for e in held if e.subject})
        tagged = {each.digest for each in held if each.tag}
        for each in held:
            hidden = chosen.whole and each.kind != "image" and not (each.kind == "child" and each.tag)
            twice = not each.tag and each.digest in tagged
            if not hidden and not twice and chosen.matches(repository, each.tag, each.digest):
                yield ImageLine(repository, each.tag or None, each.digest, each.size, of[each.digest])


@dataclass
class Lists:
    """The lists of images of any points; of a plain registry's the links themselves, through one mount."""

    catalog: Catalog
    stack: contextlib.ExitStack
    _mounted: Mount | None = field(default=None, init=False)
    _directory: Path = field(default=Path(), init=False)
    _mounting: threading.Lock = field(default_factory=threading.Lock, init=False)

    def covered(self, manifest: PointManifest, chosen: Selection) -> Iterator[Listed]:
        """All that the repositories of a point have which are covered, sorted by repository."""
        part = manifest.image_list
        if part is None:
            return TreeNames(self._tree(manifest)).covered(chosen)
        # Read to the end, or not at all: nothing is kept from a repository that lacks the rest.
        pieces = self.catalog.repository.read(part.snapshot, part.path, locked=False)
        return (each for each in image_list.from_lines(pieces) if chosen.covers(each.repository))

    def _tree(self, manifest: PointManifest) -> Path:
        mounted = self._mount()
        if manifest.bucket is None:
            return opening.tree_of(manifest, mounted)
        root = self._directory / manifest.id
        root.mkdir(mode=0o700)
        opening.unpack_links(manifest, mounted, root)
        return root

    def _mount(self) -> Mount:
        """The snapshots of all points of the site."""
        with self._mounting:
            if self._mounted is None:
                mount.look()
                state = self.catalog.state
                state.prepare()
                made = private_directory(state.runs, f"show-{new_id(utc_now())}")
                self._directory = self.stack.enter_context(made)
                site = f"{seals.SITE}{self.catalog.site}"
                access = self.catalog.repository.access
                self._mounted = self.stack.enter_context(mount.mounted(access, self._directory, site))
            return self._mounted


def nothing(catalog: Catalog, manifest: PointManifest, chosen: Selection, listener: Listener) -> NoSuchImage:
    """That no image of a point matches, and where it was last, or what there is that is called nearly so."""
    with contextlib.ExitStack() as stack:
        return _nothing(catalog, Lists(catalog, stack), manifest, chosen, listener)


def _nothing(
    catalog: Catalog, lists: Lists, manifest: PointManifest, chosen: Selection, listener: Listener
) -> NoSuchImage:
    said = f'recovery point {manifest.id} has no image that matches "{chosen.text}"'
    others = [p.manifest for p in catalog.points() if p.manifest and p.id != manifest.id]
    if last := _last_seen(lists, others, chosen, listener):
        found, when = last.id, last.consistent_at
        return NoSuchImage(
            f"{said}; it was last seen in {found}, as of {when:%Y-%m-%d %H:%M} UTC",
            hint=f"drkit show {found} --images '{chosen.text}'",
        )
    known: dict[str, None] = {}
    for each in lists.covered(manifest, Selection("*", "*")):
        known[each.repository] = None
        if len(known) >= _NAMES:
            break
    near = selection.nearest(chosen, known)
    if any(map(chosen.covers, known)):
        return NoSuchImage(said, hint="its repositories are there: leave out the tag or the digest")
    return NoSuchImage(
        said,
        hint=f"the nearest names are {', '.join(near)}" if near else "`--images '*'` shows all that it has",
    )


def _last_seen(
    lists: Lists, others: Iterable[PointManifest], chosen: Selection, listener: Listener
) -> PointManifest | None:
    """The newest of the points that has what is meant."""
    having = [manifest for manifest in others if manifest.images]
    looked = in_order(having, lambda manifest: _has(lists, manifest, chosen), _READERS)
    for number, (manifest, there) in enumerate(zip(having, looked, strict=True), 1):
        listener(Update("other recovery points", number, len(having), "items"))
        if there:
            return manifest
    return None


def _has(lists: Lists, manifest: PointManifest, chosen: Selection) -> bool:
    try:
        every = lists.covered(manifest, chosen)
        return any(chosen.matches(each.repository, each.tag, each.digest) for each in every)
    except ToolFailed as error:
        # It may be the one point that has what is wanted, and the others are worth a look all the same.
        log.warning("recovery point %s could not be looked into: %s", manifest.id, error.message)
        return False
