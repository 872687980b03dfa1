"""What `drkit restore --image` would push, what is there already, and what is in the way."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from drkit.actions.restore_images.choice import Chosen
from drkit.actions.restore_images.options import ImageOptions
from drkit.actions.restore_images.target import STREAMS, Target
from drkit.errors import TargetNotEmpty, UsageError
from drkit.progress import Listener, Update
from drkit.tools.parallel import for_each
from drkit.tools.tally import first_few

# So many are named.
_MOST = 1000
_TAG_HINT = "--replace moves them; --rename OLD=NEW restores beside them"


@dataclass(frozen=True)
class TagChange:
    """A tag that will mean `digest`; `now` is what it means there now, None where it is not there."""

    repository: str
    tag: str
    digest: str
    now: str | None


@dataclass(frozen=True)
class Referrers:
    """What refers to one manifest, each as a list of referrers describes it."""

    subject: str
    described: tuple[dict[str, Any], ...]


@dataclass
class Push:
    """What one repository of the target lacks; `blobs` with their lengths.

    `lists` are the lists of referrers that lack some.
    """

    chosen: Chosen
    blobs: dict[str, int] = field(default_factory=dict)
    manifests: set[str] = field(default_factory=set)
    tags: list[TagChange] = field(default_factory=list)
    same_tags: int = 0
    lists: list[Referrers] = field(default_factory=list)


@dataclass(frozen=True)
class RepositoryLine:
    """One repository of the plan: its name in the point and at the target, and what will be pushed."""

    source: str
    target: str
    manifests: int
    blobs: int
    bytes: int
    new_tags: int
    moved_tags: int


@dataclass(frozen=True)
class ImagesPlan:
    """Everything that will be pushed.

    `present_*` is what is there already and will not be sent; `lacking` what the point does not have whole,
    which is left out; of `tags` up to a thousand are named.
    """

    point: str
    consistent_at: datetime
    pattern: str
    target: str
    repositories: tuple[RepositoryLine, ...]
    manifests: int
    blobs: int
    bytes: int
    present_manifests: int
    present_blobs: int
    present_tags: int
    tag_count: int
    tags: tuple[TagChange, ...]
    lacking: tuple[str, ...]
    lists: int = 0

    @property
    def moved(self) -> tuple[TagChange, ...]:
        """The tags that mean something else there now."""
        return tuple(each for each in self.tags if each.now)

    @property
    def nothing_to_do(self) -> bool:
        """Whether all of it is there."""
        return not (self.manifests or self.blobs or self.tag_count or self.lists)


def compare(target: Target, chosen: Iterable[Chosen], listener: Listener) -> list[Push]:
    """What the target lacks of what was chosen, a repository after the other."""
    found = []
    for number, each in enumerate(chosen, 1):
        found.append(_of_repository(target, each))
        listener(Update("compare with the registry", number, None, "items"))
    return found


def _of_repository(target: Target, chosen: Chosen) -> Push:
    push, lock = Push(chosen), threading.Lock()

    def blob(digest: str) -> None:
        if not target.has_blob(chosen.target, digest):
            with lock:
                push.blobs[digest] = chosen.blobs[digest]

    def manifest(digest: str) -> None:
        if target.manifest(chosen.target, digest) is None:
            with lock:
                push.manifests.add(digest)

    def tag(wanted: tuple[str, str]) -> None:
        name, digest = wanted
        now = target.manifest(chosen.target, name)
        with lock:
            if now == digest:
                push.same_tags += 1
            else:
                push.tags.append(TagChange(chosen.target, name, digest, now))

    for_each(chosen.blobs, blob, STREAMS)
    for_each(chosen.manifests, manifest, STREAMS)
    for_each(chosen.tags, tag, STREAMS)
    push.lists = [each for each in referrers(chosen) if target.lacks_referrers(chosen.target, *_of(each))]
    push.tags.sort(key=lambda change: change.tag)
    return push


def _of(each: Referrers) -> tuple[str, tuple[dict[str, Any], ...]]:
    return each.subject, each.described


def referrers(chosen: Chosen) -> list[Referrers]:
    """What was chosen and refers to something, by what it refers to."""
    found: dict[str, list[dict[str, Any]]] = {}
    for manifest in chosen.manifests.values():
        if manifest.about:
            subject, described = manifest.about
            found.setdefault(subject, []).append(described)
    return [Referrers(subject, tuple(described)) for subject, described in found.items()]


def summed_up(
    point: str, consistent_at: datetime, options: ImageOptions, where: str, pushes: Iterable[Push]
) -> ImagesPlan:
    """The plan as it is shown. A blob that several repositories lack counts once: it is sent once."""
    every = list(pushes)
    blobs: dict[str, int] = {}
    for push in every:
        blobs |= push.blobs
    tags = [change for push in every for change in push.tags]
    moved_first = sorted(tags, key=lambda change: change.now is None)
    return ImagesPlan(
        point=point,
        consistent_at=consistent_at,
        pattern=options.pattern,
        target=where,
        repositories=tuple(map(_line, every)),
        manifests=sum(len(push.manifests) for push in every),
        blobs=len(blobs),
        bytes=sum(blobs.values()),
        present_manifests=sum(len(push.chosen.manifests) - len(push.manifests) for push in every),
        present_blobs=sum(len(push.chosen.blobs) - len(push.blobs) for push in every),
        present_tags=sum(push.same_tags for push in every),
        tag_count=len(tags),
        tags=tuple(moved_first[:_MOST]),
        lacking=tuple(dict.fromkeys(said for push in every for said in push.chosen.lacking)),
        lists=sum(len(push.lists) for push in every),
    )


def _line(push: Push) -> RepositoryLine:
    moved = sum(change.now is not None for change in push.tags)
    return RepositoryLine(
        push.chosen.source,
        push.chosen.target,
        len(push.manifests),
        len(push.blobs),
        sum(push.blobs.values()),
        len(push.tags) - moved,
        moved,
    )


def refuse_doubled(pushes: Iterable[Push]) -> None:
    """Raise UsageError where renaming lets one tag mean two images: one of them would be lost."""
    meant: dict[tuple[str, str], str] = {}
    for push in pushes:
        for tag, digest in push.chosen.tags:
            other = meant.setdefault((push.chosen.target, tag), digest)
            if other != digest:
                raise UsageError(
                    f"{push.chosen.target}:{tag} would be two images, {other[:19]} and {digest[:19]}",
                    hint="give each a name of its own with --rename; nothing was changed",
                )


def refuse_moved(plan: ImagesPlan, *, replace: bool) -> None:
    """Raise TargetNotEmpty, with the plan, where tags mean something else now and are not to be moved."""
    if plan.moved and not replace:
        names = [f"{change.repository}:{change.tag}" for change in plan.moved]
        raise TargetNotEmpty(
            f"{len(names)} tags mean another image at {plan.target} now: {first_few(names)}",
            hint=f"{_TAG_HINT}; nothing was changed",
            result=plan,
        )
