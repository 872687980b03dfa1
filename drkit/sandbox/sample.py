"""What a quick drill restores: a few images picked by chance, as many as fit into little room."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from drkit.harbor import tables
from drkit.registry.storage import Tag
from drkit.tools.postgres.sessions import Session

_TAGS = 10
_SIGNATURES = 3
# With the links of their repositories a quick drill shall need no more than 64 MiB beside the database.
ROOM = 48 << 20


@dataclass(frozen=True)
class Sample:
    """The tags that are tried, and the digests that are restored for them and for a few signatures."""

    tags: tuple[Tag, ...]
    digests: frozenset[str]

    @property
    def repositories(self) -> frozenset[str]:
        """Whose links are needed."""
        return frozenset(tag.repository for tag in self.tags)


def choose(session: Session) -> Sample:
    """A sample of Harbor's images: of ten tags, and of the newest signatures, those that fit."""
    tags = pick(tables.tags(session), _TAGS)
    needs = [tables.sizes_of_images(session, [tag.digest]) for tag in tags]
    chosen, wanted = fitting(tags, needs, ROOM)
    left = ROOM - sum(wanted.values())
    # So that a quick drill can try the signing keys.
    signed = list(tables.signatures(session, _SIGNATURES))
    needs = [tables.sizes_of_images(session, [each.digest]) for each in signed]
    more = [need for need in needs if sum(need.values()) <= left // _SIGNATURES]
    return Sample(tuple(chosen), frozenset(wanted).union(*more))


def fitting(
    tags: Sequence[Tag], needs: Sequence[Mapping[str, int]], room: int
) -> tuple[list[Tag], dict[str, int]]:
    """The tags whose blobs fit into so many bytes together, small images first, and these blobs; pure.

    `needs` are the blobs of each, with their sizes; what several have in common counts once. One image comes
    in any case.
    """
    chosen: list[Tag] = []
    wanted: dict[str, int] = {}
    for tag, need in sorted(zip(tags, needs, strict=True), key=lambda each: sum(each[1].values())):
        together = {**wanted, **need}
        if not chosen or sum(together.values()) <= room:
            chosen.append(tag)
            wanted = together
    return chosen, wanted


def pick(tags: Iterator[Tag], count: int) -> list[Tag]:
    """A few at random out of a stream (reservoir sampling): memory for the few alone."""
    chance = random.SystemRandom()
    kept: list[Tag] = []
    for number, tag in enumerate(tags):
        if number < count:
            kept.append(tag)
        elif (place := chance.randint(0, number)) < count:
            kept[place] = tag
    return kept
