"""Recovery points and drills, as the repository has them.

The repository is the truth: every list starts from `restic snapshots`. What stands in the state directory is
a copy of manifests and drill reports under their snapshot's id, which names content that never changes; with
the copies gone they are read from the repository again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from drkit import config, seals
from drkit.errors import ConfigError, NoSuchPoint, RestoreDamaged, ToolFailed
from drkit.model import (
    MANIFEST_SCHEMA,
    DrillNote,
    DrillReport,
    Manifest,
    Point,
    utc_now,
)
from drkit.state import State, private_directory
from drkit.tools.credentials import read_credentials
from drkit.tools.parallel import in_order
from drkit.tools.restic import Repository
from drkit.tools.restic_access import Access
from drkit.tools.restic_output import Snapshot

T = TypeVar("T")
log = logging.getLogger(__name__)

MANIFEST_FILE = "manifest.json"
REPORT_FILE = "drill.json"
# Each read costs restic half a second of key derivation; a few at once hide it.
_READERS = 4
# Clocks of two machines may differ by this much, and no more, before "the newest" means nothing.
SKEW = timedelta(hours=1)

_making = threading.Lock()
_adapters: dict[type, TypeAdapter[Any]] = {}


@dataclass(frozen=True)
class Catalog:
    """The recovery points of one site in one repository."""

    repository: Repository
    site: str
    state: State
    cache: Path

    def tags(self, point: str, *more: str) -> tuple[str, ...]:
        """The tags of a snapshot that belongs to a point."""
        return (seals.SITE + self.site, seals.POINT + point, seals.MACHINE + self.state.machine, *more)

    def points(self, *, locked: bool = False, strict: bool = False) -> tuple[Point, ...]:
        """All recovery points, sealed or not, newest first, each with its drills.

        A manifest or report that cannot be read costs its own point or drill alone: the others may be what is
        needed now. `locked` is for whoever goes on to work with them: a lock that stands in the way is met
        here already. `strict` is for whoever removes points: a drill's report that cannot be read may be the
        last proof, and is a ToolFailed.
        """
        snapshots = self.repository.snapshots(seals.SITE + self.site, locked=locked)
        reports = [s for s in snapshots if seals.value(s, seals.DRILL)]
        groups: dict[str, list[Snapshot]] = {}
        for snapshot in snapshots:
            point = seals.value(snapshot, seals.POINT)
            if point and not seals.value(snapshot, seals.DRILL):
                groups.setdefault(point, []).append(snapshot)
        sealing = [s for group in groups.values() for s in group if seals.SEAL in s.tags]
        manifests = dict(
            zip((s.id for s in sealing), in_order(sealing, self._manifest, _READERS), strict=True)
        )
        read = tuple(in_order(reports, self._note, _READERS))
        notes = tuple(note for note in read if isinstance(note, DrillNote))
        for why in (note for note in read if isinstance(note, str)):
            if strict:
                raise ToolFailed(
                    why, hint="mend the repository, or remove that snapshot with `restic forget`"
                )
            log.warning("%s", why)
        self._forget_copies({s.id for s in snapshots})
        machine = self._here()
        found = [seals.point_of(name, group, manifests, notes, machine) for name, group in groups.items()]
        return tuple(sorted(found, key=lambda point: (point.taken_at, point.id), reverse=True))

    def _here(self) -> str:
        """The name of this machine; empty where the state directory cannot be written."""
        with contextlib.suppress(OSError):
            return self.state.machine
        return ""

    def manifest_of(self, point: Point) -> Manifest:
        """The manifest of a sealed point, read from the repository and not from the copy here."""
        data = b"".join(self.repository.read(point.manifest_snapshot or point.id, f"/{MANIFEST_FILE}"))
        manifest = _parse(Manifest, data)
        if manifest is None or manifest.id != point.id:
            raise RestoreDamaged(
                f"the manifest of {point.id} cannot be read",
                hint="use another point; look with `drkit verify`",
            )
        return manifest

    def snapshots_of(self, point: str) -> tuple[Snapshot, ...]:
        """The snapshots that bear a point's tag, its manifest and its drills among them."""
        return self.repository.snapshots(seals.POINT + point)

    def seal(self, manifest: Manifest) -> str:
        """Store the manifest, last of all: from here on the point counts. Returns its snapshot.

        Beside it stands, for whoever has nothing but restic, how the point comes back without drkit.
        """
        # Here, for what looks at points alone needs neither templates nor PostgreSQL.
        from drkit import recovery

        data = _adapter(Manifest).dump_json(manifest, indent=1)
        texts = recovery.files(manifest, f"{seals.POINT}{manifest.id},{seals.SEAL}")
        with private_directory(self.state.runs, f"seal-{manifest.id}-{os.getpid()}") as directory:
            (directory / MANIFEST_FILE).write_bytes(data)
            for name, text in texts.items():
                (directory / name).write_text(text, encoding="utf-8")
            names = (MANIFEST_FILE, *texts)
            saved = self.repository.save_files(
                directory, names, self.tags(manifest.id, seals.SEAL), self.site
            )
        self._copy(saved.snapshot, data)
        return saved.snapshot

    def keep_drill(self, report: DrillReport) -> str:
        """Store a drill's report beside the point that it drilled. Returns its snapshot."""
        data = _adapter(DrillReport).dump_json(report, indent=1)
        tags = self.tags(report.point, seals.DRILL + report.id)
        saved = self.repository.save_stream([data], REPORT_FILE, tags, self.site)
        self._copy(saved.snapshot, data)
        return saved.snapshot

    def drill_snapshots(self, points: Iterable[str]) -> tuple[str, ...]:
        """Snapshots of the drill reports of those points."""
        wanted = set(points)
        every = self.repository.snapshots(seals.SITE + self.site)
        return tuple(
            s.id for s in every if seals.value(s, seals.DRILL) and seals.value(s, seals.POINT) in wanted
        )

    def _manifest(self, snapshot: Snapshot) -> Manifest | str:
        """The manifest of a seal, or why it cannot be had."""
        found = self._read(Manifest, snapshot, MANIFEST_FILE)
        if isinstance(found, Manifest) and found.schema > MANIFEST_SCHEMA:
            return f"its manifest (snapshot {snapshot.id[:8]}) was made by a newer drkit"
        return found if isinstance(found, Manifest) else f"its manifest {found}"

    def _note(self, snapshot: Snapshot) -> DrillNote | str:
        """What is kept in mind of a drill, or why it cannot be had."""
        report = self._read(DrillReport, snapshot, REPORT_FILE)
        if isinstance(report, str):
            return f"the report of drill {seals.value(snapshot, seals.DRILL)} {report}"
        took = report.recovery_time_seconds
        return DrillNote(report.id, report.point, report.level, report.outcome, report.finished_at, took)

    def _read(self, kind: type[T], snapshot: Snapshot, name: str) -> T | str:
        """What a snapshot's file says, from the copy here or the repository; or what is wrong with it."""
        with contextlib.suppress(OSError):
            # A copy that a power cut has emptied says nothing of what is in the repository.
            if (kept := _parse(kind, (self.cache / f"{snapshot.id}.json").read_bytes())) is not None:
                return kept
        try:
            data = b"".join(self.repository.read(snapshot.id, f"/{name}"))
        except ToolFailed as error:
            return f"(snapshot {snapshot.id[:8]}) cannot be read: {error.message}"
        found = _parse(kind, data)
        if found is None:
            return f"(snapshot {snapshot.id[:8]}) is not understood: a newer drkit may have made it"
        self._copy(snapshot.id, data)
        return found

    def _copy(self, snapshot: str, data: bytes) -> None:
        # A copy only saves time: a state directory that cannot be written does not stop a restore.
        with contextlib.suppress(OSError):
            self.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = self.cache / f".{snapshot}.part"
            partial.write_bytes(data)
            partial.replace(self.cache / f"{snapshot}.json")

    def _forget_copies(self, known: set[str]) -> None:
        with contextlib.suppress(OSError):
            for copy in self.cache.glob("*.json"):
                if copy.stem not in known:
                    copy.unlink()


def open_catalog(settings: config.Config, name: str | None = None) -> Catalog:
    """The catalog of a configured repository; raises ConfigError for its credentials."""
    chosen = settings.repository(name)
    state = State(settings.site.state)
    # Looking at a repository works without it, only slower.
    with contextlib.suppress(ConfigError):
        state.prepare()
    access = Access(
        url=chosen.url,
        password_file=chosen.password_file,
        cache=state.cache,
        lock_wait=chosen.lock_wait,
        credentials=read_credentials(chosen.credentials_file),
    )
    return Catalog(Repository(access), settings.site.name, state, state.catalog / chosen.name)


def pick(wanted: str, points: Sequence[Point], now: datetime | None = None) -> tuple[Point, Manifest]:
    """The sealed point that `wanted` means, with its manifest; raises NoSuchPoint.

    `latest` is never guessed: where the newest seal is broken, or a wrong clock has dated it, somebody has to
    say which point is meant.
    """
    if not wanted:
        # It would be the beginning of every id. Most likely a variable of a shell is not set.
        raise NoSuchPoint(
            "a recovery point has no empty name", hint="say an id, a prefix of one, or `latest`"
        )
    sealed = [point for point in points if point.manifest]
    if not sealed:
        broken = next((p for p in points if p.broken_seal), None)
        why = f"; {broken.id} was sealed, but {broken.broken_seal}" if broken else ""
        raise NoSuchPoint(
            f"there is no sealed recovery point{why}",
            hint="look with `drkit verify`" if broken else "take one with `drkit backup`",
        )
    if wanted == "latest":
        point = _latest(points, now or utc_now())
        assert point.manifest is not None
        return point, point.manifest
    matches = [p for p in points if p.id.startswith(wanted)]
    exact = [point for point in matches if point.id == wanted] or matches
    if not exact:
        raise NoSuchPoint(f'there is no recovery point "{wanted}"', hint=f"the newest is {sealed[0].id}")
    if len(exact) > 1:
        some = ", ".join(point.id for point in exact[:4])
        raise NoSuchPoint(f'"{wanted}" could be {len(exact)} recovery points', hint=f"say which: {some}")
    if exact[0].manifest is None:
        why = f": {exact[0].broken_seal}" if exact[0].broken_seal else ""
        raise NoSuchPoint(
            f"recovery point {exact[0].id} is incomplete and is never restored{why}",
            hint=f"the newest sealed one is {sealed[0].id}",
        )
    return exact[0], exact[0].manifest


def _latest(points: Sequence[Point], now: datetime) -> Point:
    """The newest sealed point, if nothing makes that doubtful; there is one."""
    newest = next(point for point in points if point.manifest or point.broken_seal)
    others = [point.id for point in points if point.manifest and point is not newest]
    instead = f"; or name another, such as {others[0]}" if others else ""
    if newest.broken_seal:
        raise NoSuchPoint(
            f"the newest recovery point, {newest.id}, was sealed, but {newest.broken_seal}",
            hint=f"look with `drkit verify`{instead}",
        )
    if newest.taken_at > now + SKEW:
        raise NoSuchPoint(
            f"recovery point {newest.id} is dated in the future, so nobody can tell which is the newest",
            hint=f"set this machine's clock if it is wrong; or name that point{instead}",
        )
    return newest


def part_tags(catalog: Catalog, point: str, kind: str, name: str) -> tuple[str, ...]:
    """The tags of a part's snapshot."""
    return catalog.tags(point, seals.part_tag(kind, name))


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    """Made once a kind, by one of the readers: to make one takes far longer than to read with it."""
    with _making:
        if kind not in _adapters:
            _adapters[kind] = TypeAdapter(kind)
        return _adapters[kind]


def _parse(kind: type[T], data: bytes) -> T | None:
    """What the bytes say, or None for bytes that are not of that kind."""
    try:
        return _adapter(kind).validate_json(data)
    except ValidationError:
        return None
