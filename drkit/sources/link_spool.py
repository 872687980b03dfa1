"""What a registry's own links refer to, collected on disk: its list of digests where there is no database."""

from __future__ import annotations

from pathlib import Path

from drkit.harbor import storage
from drkit.sources import digests
from drkit.sources.digests import Spool

_BATCH = 50_000


class LinkSpool:
    """Takes links in any order; `directory` is the run's own."""

    def __init__(self, directory: Path) -> None:
        files = [directory / name for name in ("links.db", "revisions.db")]
        for file in files:
            # An earlier attempt may have left them.
            file.unlink(missing_ok=True)
        self._digests, self._revisions = map(Spool, files)
        self._batch: list[tuple[str, bool]] = []

    def notice(self, path: str) -> None:
        """A link, by its path; only those of layers and revisions refer to anything by it."""
        digest = storage.digest_of_link(path)
        if digest:
            self.add(digest, revision="/_manifests/revisions/" in path)

    def add(self, digest: str, *, revision: bool) -> None:
        """A digest that a link is for, and whether it is a manifest's."""
        self._batch.append((digest, revision))
        if len(self._batch) == _BATCH:
            self._flush()

    def write(self, listed: Path, manifests: Path) -> int:
        """Write the list of all digests, and that of the manifests; returns how many digests there are."""
        self._flush()
        digests.write(manifests, self._revisions)
        return digests.write(listed, self._digests)

    def _flush(self) -> None:
        self._digests.add((digest, None) for digest, _ in self._batch)
        self._revisions.add((digest, None) for digest, revision in self._batch if revision)
        self._batch.clear()
