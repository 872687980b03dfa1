"""What production itself does not serve although its own tree names it: told at the backup, and sealed.

A tag whose manifest was deleted, an index whose children were never pushed: a registry answers 404 to these,
and goes on answering 404 once it is restored. A drill takes nothing else for that: whatever is not in this
record has to be there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, get_args

from drkit.blobs.manifest_cache import ManifestCache
from drkit.errors import RestoreDamaged
from drkit.model import Dangling, DanglingKind
from drkit.tools import json_lines
from drkit.tools.scratch import open_database
from drkit.tools.tally import Tally

FILE_NAME = "dangling.jsonl"
# The images of the registry, in the run's directory.
IMAGES = "images.db"


class Production(Protocol):
    """The registry's storage as it is now; every method raises ToolFailed where it cannot be read."""

    def size(self, digest: str) -> int | None:
        """The size of a blob, or None where it is not there."""

    def linked(self, repository: str, digest: str) -> bool:
        """Whether a repository has a link to a manifest."""

    def tag(self, repository: str, name: str) -> str | None:
        """What a tag's link holds, or None where it is not there."""


class ImageSpool:
    """The images and tags of a registry, on disk so that memory stays flat."""

    def __init__(self, path: Path, *, kept: bool = False) -> None:
        """Begin with none; with those of an earlier spool where it was `kept`."""
        self.path = path
        if kept:
            return
        # An earlier attempt may have left one.
        path.unlink(missing_ok=True)
        with closing(open_database(path)) as store:
            store.execute("PRAGMA journal_mode = OFF")
            store.execute(
                "CREATE TABLE image (repository TEXT, digest TEXT, PRIMARY KEY (repository, digest))"
                " WITHOUT ROWID"
            )
            # What a link holds is known where all links were read; else it is asked for.
            store.execute("CREATE TABLE tag (repository TEXT, name TEXT, held TEXT)")
            store.execute("CREATE TABLE absent (digest TEXT PRIMARY KEY) WITHOUT ROWID")

    def add_images(self, images: Iterable[tuple[str, str]]) -> None:
        """Add (repository, digest) of manifests."""
        self._insert("INSERT OR IGNORE INTO image VALUES (?, ?)", images)

    def add_tags(self, tags: Iterable[tuple[str, str, str | None]]) -> None:
        """Add (repository, name, what the link holds if that is known)."""
        self._insert("INSERT INTO tag VALUES (?, ?, ?)", tags)

    def add_absent(self, digests: Iterable[str]) -> None:
        """Add digests that production has no bytes of."""
        self._insert("INSERT OR IGNORE INTO absent VALUES (?)", ((digest,) for digest in digests))

    def images(self) -> Iterator[tuple[str, str]]:
        """(repository, digest) of every image, sorted."""
        return self._rows("SELECT repository, digest FROM image ORDER BY 1, 2")

    def manifests(self) -> Iterator[tuple[str, int | None]]:
        """The digest of every manifest, sorted, each once."""
        for (digest,) in self._rows("SELECT DISTINCT digest FROM image ORDER BY digest"):
            yield digest, None

    def absent(self) -> Iterator[str]:
        """Every digest that is absent, sorted."""
        return (digest for (digest,) in self._rows("SELECT digest FROM absent ORDER BY digest"))

    def without_bytes(self) -> Iterator[tuple[str, str]]:
        """(repository, digest) of manifests whose bytes are absent."""
        return self._rows(
            "SELECT repository, digest FROM image WHERE digest IN (SELECT digest FROM absent) ORDER BY 1, 2"
        )

    def tags(self) -> Iterator[tuple[str, str, str | None]]:
        """Every tag as it was added, sorted."""
        return self._rows("SELECT repository, name, held FROM tag ORDER BY 1, 2")

    def _insert(self, statement: str, rows: Iterable[tuple[str | None, ...]]) -> None:
        with closing(open_database(self.path)) as store:
            store.execute("PRAGMA synchronous = OFF")
            store.executemany(statement, rows)
            store.commit()

    def _rows(self, query: str) -> Iterator[Any]:
        with closing(open_database(self.path)) as store:
            yield from store.execute(query)


def children_and_layers(store: ManifestCache, images: Path, production: Production) -> Iterator[Dangling]:
    """What manifests name and production does not serve, though the registry took these manifests.

    Children that the repository of their index lacks, and layers with URLs that are not stored here.
    """
    for repository, index, child in store.unlinked_children(images):
        if not _served(production, repository, child):
            yield Dangling("child", repository, index, child)
    for layer, manifest in store.elsewhere():
        if production.size(layer) is None:
            yield Dangling("layer", "", manifest, layer)


def tags_and_manifests(images: ImageSpool, production: Production) -> Iterator[Dangling]:
    """Tags that lead to no manifest, and revisions whose bytes are gone."""
    for repository, name, held in images.tags():
        digest = production.tag(repository, name) if held is None else held
        # Not 404 but an error comes of a link that is empty or cut.
        if digest is None or (digest.startswith("sha256:") and not _served(production, repository, digest)):
            yield Dangling("tag", repository, name, digest or "")
    for repository, digest in images.without_bytes():
        yield Dangling("manifest", repository, "", digest)


def _served(production: Production, repository: str, digest: str) -> bool:
    return production.linked(repository, digest) and production.size(digest) is not None


def write(path: Path, entries: Iterable[Dangling]) -> tuple[int, tuple[str, ...]]:
    """Write them as JSON lines; returns how many there were, and the names of the first."""
    tally = Tally[str]()
    with path.open("wb") as file:
        for entry in entries:
            tally.add(entry.label)
            line = {"kind": entry.kind, "repository": entry.repository, "name": entry.name}
            file.write(json.dumps(line | {"digest": entry.digest}).encode() + b"\n")
    return tally.count, tally.first


def from_lines(pieces: Iterable[bytes]) -> Iterator[Dangling]:
    """The entries in a stream of JSON lines; raises RestoreDamaged for anything else."""
    for lines in json_lines.whole(pieces, "the record of what production did not serve"):
        yield from map(_entry, filter(None, lines.split(b"\n")))


def _entry(line: bytes) -> Dangling:
    try:
        found = json.loads(line)
        kind: DanglingKind = found["kind"]
        if kind not in get_args(DanglingKind):
            raise ValueError(kind)
        return Dangling(kind, str(found["repository"]), str(found["name"]), str(found["digest"]))
    except (ValueError, KeyError, TypeError):
        raise RestoreDamaged(
            "the record of what production did not serve cannot be read", hint="restore from another point"
        ) from None


class Known:
    """What production did not serve when a point was taken; nothing else may dangle in what was restored."""

    def __init__(self, entries: Iterable[Dangling] = ()) -> None:
        held = list(entries)
        self.labels = [entry.label for entry in islice(held, 3)]
        self.count = len(held)
        self._tags = frozenset((e.repository, e.name) for e in held if e.kind == "tag")
        self._images = frozenset((e.repository, e.digest) for e in held if e.kind in ("manifest", "child"))
        self._layers = frozenset(e.digest for e in held if e.kind == "layer")

    def tag(self, repository: str, name: str) -> bool:
        """Whether that tag led nowhere."""
        return (repository, name) in self._tags

    def image(self, repository: str, digest: str) -> bool:
        """Whether that repository did not serve that manifest."""
        return (repository, digest) in self._images

    def layer(self, digest: str) -> bool:
        """Whether that layer was to be fetched from elsewhere."""
        return digest in self._layers
