"""Points put together in the wrong order, from drkit's own functions: what drkit itself never does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from drkit import config
from drkit.database import locked
from drkit.database.locked import LockedDatabase
from drkit.errors import SourceChanged
from drkit.points.catalog import open_catalog
from drkit.registry import storage
from drkit.tools.postgres import programs as postgres_programs
from drkit.tools.postgres import targets
from drkit.tools.restic.repository import Repository
from tests.e2e.commands import Drkit

_TAG = ("composed",)


@dataclass(frozen=True)
class Torn:
    """Two snapshots that claim to belong together."""

    dump: str
    blobs: str


class Composer:
    """Captures the two halves of a point, one at a time."""

    def __init__(self, drkit: Drkit, directory: Path) -> None:
        self._settings = config.load_config(drkit.config)
        self._repository: Repository = open_catalog(self._settings).repository
        self._directory = directory

    def blobs_first(self, between: Callable[[], object]) -> Torn:
        """The blobs are captured before the database is held still."""
        tree = self._blobs()
        between()
        with self._held() as held:
            return Torn(self._dump(held), tree)

    def without_second_look(self, between: Callable[[], object]) -> Torn:
        """The right order, but nobody asks whether garbage was collected in between."""
        with self._held() as held:
            between()
            tree = self._blobs()
            return Torn(self._dump(held), tree)

    @contextlib.contextmanager
    def _held(self) -> Iterator[LockedDatabase]:
        (entry,) = self._settings.databases
        with locked.hold(entry) as held:
            yield held

    def _dump(self, held: LockedDatabase) -> str:
        programs = postgres_programs.dump_programs(held.major, postgres_programs.installed())
        with targets.password_environment(held.target, self._directory) as login:
            command = postgres_programs.dump(programs, held.target, held.snapshot, login)
            return self._repository.save_command(command, f"{held.name}.dump", _TAG, "composed").snapshot

    def _blobs(self) -> str:
        source = self._settings.blobs
        assert isinstance(source, config.FilesystemBlobs)
        root = source.path.resolve()
        uploads = storage.uploads_patterns(root)
        while True:
            # Somebody may push or delete while links are read.
            with contextlib.suppress(SourceChanged):
                return self._repository.save_directory(root, _TAG, "composed", excludes=uploads).snapshot
