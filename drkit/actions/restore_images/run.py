"""`drkit restore POINT --image PATTERN`: choose in the point, compare with the registry, push what it lacks.

Blobs first, then manifests, children before what names them, then tags: whoever pulls meanwhile gets the old
image or the new one. Run again after any end, it pushes only what is still missing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from drkit import config
from drkit.actions.images import listing, opening
from drkit.actions.restore_images import choice, plan, rename, target
from drkit.actions.restore_images.options import ImageOptions
from drkit.actions.restore_images.plan import ImagesPlan, Push, Referrers, TagChange
from drkit.actions.restore_images.target import STREAMS, Destination, Target
from drkit.errors import RegistryRefused, RestoreDamaged, ToolFailed, WrongBytes
from drkit.model import utc_now
from drkit.points.catalog import open_catalog
from drkit.progress import Listener, Meter, Update, silent
from drkit.registry import selection
from drkit.serving.images import Images
from drkit.state.directory import State, new_id, private_directory
from drkit.tools.parallel import for_each
from drkit.tools.registry import parse_manifest
from drkit.tools.restic import mount
from drkit.tools.tally import Tally, first_few

_STAGE = "push"
# Repositories of the same project that are looked at for a layer to take over, and how many may be asked.
_NEIGHBOURS = 50
_ASKED = 2
_SMALL = 64 << 10


@dataclass(frozen=True)
class ImagesRestored:
    """What was pushed; `mounted` blobs were taken over from other repositories of the registry.

    Of `refused` images and tags the first few are named; `hint` is what helps against the first of them.
    """

    point: str
    pattern: str
    target: str
    manifests: int
    blobs: int
    bytes: int
    mounted: int
    tags: int
    present_manifests: int
    present_blobs: int
    present_tags: int
    lacking: tuple[str, ...]
    refused: tuple[str, ...]
    refused_count: int
    hint: str
    seconds: float
    # Of so many images the list of what refers to them was completed.
    lists: int = 0


@dataclass(frozen=True)
class Prepared:
    """A plan, and what is needed to do it; as long as the point is open."""

    plan: ImagesPlan
    pushes: list[Push]
    images: Images
    target: Target

    def push(self, listener: Listener = silent) -> ImagesRestored:
        """Push what is missing; raises the first error that is not about a single tag."""
        return _Pushing(self, listener).run()


@contextlib.contextmanager
def prepared(
    settings: config.Config, options: ImageOptions, listener: Listener = silent, *, look_only: bool = False
) -> Iterator[Prepared]:
    """What would be pushed, until the block ends; nothing has been then.

    Raises UsageError, NoSuchPoint, NoSuchImage, ConfigError, ToolMissing, the registry's errors, and
    TargetNotEmpty (with the plan) where tags mean something else there and may not be moved.
    """
    chosen, renames = selection.parse(options.pattern), rename.parse(options.rename)
    destination = target.find(settings, options.to, options.credentials, options.ca_file)
    mount.look()
    settings = settings.at(options.repository)
    catalog = open_catalog(settings, options.repository)
    point, manifest = catalog.find(options.point, locked=True)
    opening.refuse_without_images(manifest)
    opening.refuse_layouts(manifest)
    state = State(settings.site.state)
    state.prepare()
    with (
        private_directory(state.runs, f"restore-image-{new_id(utc_now())}") as directory,
        opening.opened(settings, catalog, manifest, directory, "restore") as found,
        _open(destination, look_only=look_only) as there,
    ):
        by_list = manifest.image_list is not None
        wanted = choice.choose(found.images, chosen, renames, by_list=by_list)
        pushes = plan.compare(there, _told(wanted, listener), listener)
        listener(Update("compare with the registry", finished=True))
        if not pushes:
            raise listing.nothing(catalog, manifest, chosen, listener)
        plan.refuse_doubled(pushes)
        made = plan.summed_up(point.id, manifest.consistent_at, options, there.where, pushes)
        plan.refuse_moved(made, replace=options.replace)
        yield Prepared(made, pushes, found.images, there)


def _told(wanted: Iterator[choice.Chosen], listener: Listener) -> Iterator[choice.Chosen]:
    listener(Update("read the images of the recovery point"))
    yield from wanted
    listener(Update("read the images of the recovery point", finished=True))


@contextlib.contextmanager
def _open(destination: Destination, *, look_only: bool) -> Iterator[Target]:
    with target.opened(destination, look_only=look_only) as found:
        yield found


def look(settings: config.Config, options: ImageOptions, listener: Listener = silent) -> ImagesPlan:
    """What would be pushed; raises as `prepared`."""
    with prepared(settings, options, listener, look_only=True) as found:
        return found.plan


def restore(
    settings: config.Config,
    options: ImageOptions,
    confirm: Callable[[ImagesPlan], None],
    listener: Listener = silent,
) -> ImagesRestored:
    """Push what is missing, once `confirm` has been asked; raises as `prepared` and `push`."""
    with prepared(settings, options, listener) as found:
        if not found.plan.nothing_to_do:
            confirm(found.plan)
        result = found.push(listener)
    _judge(result)
    return result


def _judge(result: ImagesRestored) -> None:
    """Raise where something that was asked for is not at the target now."""
    if result.refused:
        raise RegistryRefused(
            f"everything else is back, but this was refused ({result.refused_count}):"
            f" {first_few(result.refused, '; ')}",
            hint=result.hint,
            result=result,
        )
    if result.lacking:
        raise RestoreDamaged(
            f"what recovery point {result.point} has whole is back, and this was left out:"
            f" {first_few(result.lacking, '; ')}",
            hint="look for it in another recovery point: `drkit show POINT --images PATTERN`",
            result=result,
        )


@dataclass
class _Pushing:
    prepared: Prepared
    listener: Listener
    began: float = field(default_factory=time.monotonic)
    # Filled by several threads; their lengths count.
    sent: list[int] = field(default_factory=list)
    mounted: list[str] = field(default_factory=list)
    manifests: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    refused: Tally[str] = field(default_factory=Tally)
    # Blobs that the recovery point has with other bytes, and why they were not sent.
    damaged: dict[str, str] = field(default_factory=dict)
    without: set[str] = field(default_factory=set)
    hint: str = ""
    # Which repository of the target has a blob since this run: another may take it over from there.
    placed: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.meter = Meter(self.listener, _STAGE, self.prepared.plan.bytes)
        self.neighbours: dict[str, list[str]] = {}

    def run(self) -> ImagesRestored:
        for push in self.prepared.pushes:
            # The largest first: it takes longest.
            blobs = sorted(push.blobs.items(), key=lambda blob: -blob[1])
            for_each(blobs, partial(self._blob, push), STREAMS)
            self._leave_out(push)
            lacking = [
                each
                for digest, each in push.chosen.manifests.items()
                if digest in push.manifests and f"{push.chosen.target}@{digest}" not in self.without
            ]
            images = (each for each in lacking if not each.is_index)
            for_each(images, partial(self._manifest, push), STREAMS)
            # One by one: an index may name another.
            for chosen in lacking:
                if chosen.is_index:
                    self._manifest(push, chosen)
        # Every image is whole before the first tag moves.
        for push in self.prepared.pushes:
            for each in push.lists:
                self._list(push, each)
            for_each(push.tags, partial(self._tag, push), STREAMS)
        self.listener(Update(_STAGE, finished=True))
        made = self.prepared.plan
        return ImagesRestored(
            point=made.point,
            pattern=made.pattern,
            target=made.target,
            manifests=len(self.manifests),
            blobs=len(self.sent),
            bytes=sum(self.sent),
            mounted=len(self.mounted),
            tags=len(self.tags),
            present_manifests=made.present_manifests,
            present_blobs=made.present_blobs,
            present_tags=made.present_tags,
            lacking=(*made.lacking, *self.damaged.values()),
            refused=self.refused.first,
            refused_count=self.refused.count,
            hint=self.hint,
            seconds=round(time.monotonic() - self.began, 3),
            lists=len(self.lists),
        )

    def _blob(self, push: Push, blob: tuple[str, int]) -> None:
        digest, size = blob
        source, name = push.chosen.source, push.chosen.target
        if self._taken_over(push, digest, size):
            self.mounted.append(digest)
            self.meter.add(size)
        else:
            there = self.prepared.images.blob(source, digest)
            if there is None:
                raise ToolFailed(f"{digest} of {source} is not in the recovery point any more")
            stored = there

            def body() -> Iterator[bytes]:
                for piece in self.prepared.images.pieces(stored, 0, stored.size):
                    yield piece
                    self.meter.add(len(piece))

            try:
                self.prepared.target.push_blob(name, digest, size, body)
            except WrongBytes as error:
                self.damaged[digest] = error.message
                return
            self.sent.append(size)
        self.placed[digest] = name

    def _leave_out(self, push: Push) -> None:
        """What needs a damaged blob is not pushed, and gets no tag, nor does what names it."""
        if not self.damaged:
            return
        # Children come before what names them.
        for digest in push.chosen.manifests:
            facts = parse_manifest(digest, self._data(push, digest))
            needed = {blob.digest for blob in facts.blobs}
            children = {f"{push.chosen.target}@{child.digest}" for child in facts.children}
            if needed & self.damaged.keys() or children & self.without:
                self.without.add(f"{push.chosen.target}@{digest}")

    def _taken_over(self, push: Push, digest: str, size: int) -> bool:
        """Whether another repository of the target has it, and it could be taken over from there."""
        for source in islice(self._sources(push, digest, size), _ASKED):
            with contextlib.suppress(RegistryRefused):
                # Who may not read there is not let in; then it is sent.
                if self.prepared.target.mount(push.chosen.target, digest, source):
                    return True
        return False

    def _sources(self, push: Push, digest: str, size: int) -> Iterator[str]:
        known = self.placed.get(digest)
        if known is not None and known != push.chosen.target:
            yield known
        if size < _SMALL:
            return
        source = push.chosen.source
        project = source.partition("/")[0]
        if project not in self.neighbours:
            covered = self.prepared.images.names.repositories(f"{project}/", _NEIGHBOURS)
            self.neighbours[project] = [each for each in covered if each.startswith(f"{project}/")]
        for name in self.neighbours[project]:
            if name != source and self.prepared.images.blob(name, digest) is not None:
                yield name

    def _data(self, push: Push, digest: str) -> bytes:
        data = self.prepared.images.manifest(push.chosen.source, digest)
        if data is None:
            raise ToolFailed(f"{push.chosen.source}@{digest} is not in the recovery point any more")
        return data

    def _manifest(self, push: Push, chosen: choice.ChosenManifest) -> None:
        name, data = push.chosen.target, self._data(push, chosen.digest)
        try:
            self.prepared.target.push_manifest(name, chosen.digest, chosen.kind, data)
        except RegistryRefused as error:
            self._refused(f"{name}@{chosen.digest}", error)
            return
        if chosen.root:
            self.prepared.target.name(name, "", chosen.digest, chosen.kind, data)
        self.manifests.append(chosen.digest)

    def _list(self, push: Push, each: Referrers) -> None:
        name = push.chosen.target
        there = [d for d in each.described if f"{name}@{d['digest']}" not in self.without]
        try:
            self.prepared.target.list_referrers(name, each.subject, there)
            self.lists.append(each.subject)
        except RegistryRefused as error:
            self._refused(f"what refers to {name}@{each.subject}", error)

    def _tag(self, push: Push, change: TagChange) -> None:
        name, tag, digest = change.repository, change.tag, change.digest
        chosen = push.chosen.manifests[digest]
        if f"{name}@{digest}" in self.without:
            return
        try:
            self.prepared.target.name(name, tag, digest, chosen.kind, self._data(push, digest))
            self.tags.append(tag)
        except RegistryRefused as error:
            self._refused(f"{name}:{tag}", error)

    def _refused(self, what: str, error: RegistryRefused) -> None:
        """One image or tag is refused: the others need not be."""
        self.without.add(what)
        self.hint = self.hint or error.hint
        self.refused.add(error.message)
