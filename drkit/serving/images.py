"""The images of a recovery point, each manifest and blob proved by its digest before it is believed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drkit.errors import ToolFailed, WrongBytes
from drkit.registry import links, storage
from drkit.registry.ledger import Ledger
from drkit.registry.selection import Selection
from drkit.registry.storage import REPOSITORIES
from drkit.serving import requests
from drkit.serving.data import Data
from drkit.serving.names import Names
from drkit.tools.registry import hasher, hashes_to

_LARGEST_MANIFEST = 64 << 20
# The referrers of so many repositories are kept in memory.
_REPOSITORIES = 64


@dataclass(frozen=True)
class Blob:
    """A blob of a repository: its digest there, and the SHA-256 that it is stored by."""

    digest: str
    stored: str
    size: int


class Images:
    """The links of a tree below `root`, and the `data` that they lead to.

    Repositories that `only` does not cover are not there. Where the links are still being written, `written`
    waits for that: until then a repository is taken to have whatever the point has.
    """

    def __init__(
        self,
        root: Path,
        data: Data,
        names: Names,
        ledger: Ledger,
        only: Selection | None = None,
        written: Future[None] | None = None,
    ) -> None:
        self.names = names
        self._root = root
        self._data = data
        self._ledger = ledger
        self._only = only
        self._written = written
        self._referrers: OrderedDict[str, dict[str, list[dict[str, Any]]]] = OrderedDict()
        self._lock = threading.Lock()

    def serves(self, repository: str) -> bool:
        """Whether a repository of that name may be asked for."""
        return self._only is None or self._only.covers(repository)

    def manifest(self, repository: str, digest: str) -> bytes | None:
        """The bytes of a manifest that a repository has; raises WrongBytes, ToolFailed."""
        found = self._stored(repository, digest, links.of_manifest(repository, digest))
        if found is None:
            return None
        if found.size > _LARGEST_MANIFEST:
            raise ToolFailed(f"{repository}@{digest} is too large for a manifest")
        data = b"".join(self._data.read(found.stored, 0))
        if not hashes_to(data, digest):
            self._data.wrong(found.stored)
            raise WrongBytes(f"the bytes of {repository}@{digest} are others", hint="use another point")
        return data

    def blob(self, repository: str, digest: str) -> Blob | None:
        """A blob that a repository has, or None; raises ToolFailed."""
        algorithm, _, digits = digest.partition(":")
        layer = f"{REPOSITORIES}/{repository}/_layers/{algorithm}/{digits}/link"
        # A manifest can be had as a blob, too.
        return self._stored(repository, digest, (layer, *links.of_manifest(repository, digest)))

    def _stored(self, repository: str, digest: str, by: tuple[str, ...]) -> Blob | None:
        # By which SHA-256 another digest's blob is stored only its link says.
        known = self._written is None or self._written.done() or not storage.is_digest(digest)
        if known:
            self._wait()
            if not any((self._root / link).is_file() for link in by):
                return None
        stored = links.stored_digest(self._root, repository, digest)
        size = self._data.size(stored)
        return None if size is None else Blob(digest, stored, size)

    def _wait(self) -> None:
        """Wait until the links are there; raises what went wrong with them."""
        if self._written is not None:
            self._written.result()

    def prove(self, blob: Blob) -> None:
        """Read a blob whole, unless that was done before; raises WrongBytes, ToolFailed."""
        if not self._ledger.good(blob.digest):
            for _piece in self._checked(blob):
                pass

    def pieces(self, blob: Blob, first: int, end: int) -> Iterator[bytes]:
        """Some of a blob's bytes; raises WrongBytes before the last of them where they have another digest.

        Where not all of them are wanted the blob is read whole before.
        """
        if (first, end) == (0, blob.size) and not self._ledger.good(blob.digest):
            yield from self._checked(blob)
            return
        self.prove(blob)
        for piece in self._data.read(blob.stored, first):
            yield piece[: end - first]
            first += len(piece)
            if first >= end:
                return

    def _checked(self, blob: Blob) -> Iterator[bytes]:
        """All bytes, the last piece only once the whole has its digest."""
        found, held = hasher(blob.digest), b""
        for piece in self._data.read(blob.stored, 0):
            if held:
                yield held
            found.update(piece)
            held = piece
        if found.hexdigest() != blob.digest.partition(":")[2]:
            self._data.wrong(blob.stored)
            raise WrongBytes(f"the bytes of {blob.digest} are others", hint="use another point")
        self._ledger.confirm(blob.digest)
        if held:
            yield held

    def referrers(self, repository: str, digest: str) -> list[dict[str, Any]]:
        """The descriptors of the manifests in a repository whose subject this is.

        The first request for a repository reads all its manifests: nothing in a tree says who refers to whom.
        """
        with self._lock:
            known = self._referrers.get(repository)
        if known is None:
            known = self._read_referrers(repository)
            with self._lock:
                self._referrers[repository] = known
                while len(self._referrers) > _REPOSITORIES:
                    self._referrers.popitem(last=False)
        return known.get(digest, [])

    def _read_referrers(self, repository: str) -> dict[str, list[dict[str, Any]]]:
        self._wait()
        found: dict[str, list[dict[str, Any]]] = {}
        place = self._root / REPOSITORIES / repository / "_manifests/revisions/sha256"
        try:
            digests = sorted(f"sha256:{entry.name}" for entry in place.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return found
        except OSError as error:
            raise ToolFailed(f"cannot list the manifests of {repository}: {error.strerror}") from None
        for digest in filter(storage.is_digest, digests):
            data = self.manifest(repository, digest)
            if data is not None and (described := requests.referrer(digest, data)):
                found.setdefault(described[0], []).append(described[1])
        return found
