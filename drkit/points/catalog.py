"""Recovery points and drills, as the repository has them.

The repository is the truth: every list starts from `restic snapshots`. What stands in the state directory is
a copy of manifests and drill reports under their snapshot's id, which names content that never changes; with
the copies gone they are read from the repository again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import platform
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from drkit import config
from drkit.errors import ConfigError, NoSuchPoint, RestoreDamaged, ToolFailed
from drkit.model import (
    MANIFEST_SCHEMA,
    DrillNote,
    DrillReport,
    Point,
    PointManifest,
    utc_now,
)
from drkit.points import seal_files, seals
from drkit.points.choice import pick
from drkit.points.seal_files import SealFiles
from drkit.state.directory import State
from drkit.tools.credentials import read_credentials
from drkit.tools.parallel import in_order
from drkit.tools.restic.access import Access
from drkit.tools.restic.output import Saved, Snapshot
from drkit.tools.restic.repository import Repository

T = TypeVar("T")
log = logging.getLogger(__name__)

REPORT_FILE = "drill.json"
EXPIRED_FILE = "expired.json"
CONFIRMED_FILE = "confirmed.json"
# Each read costs restic half a second of key derivation; a few at once hide it.
_READERS = 4
# restic itself tries for a quarter of an hour.
_PATIENCE = timedelta(minutes=1)

_making = threading.Lock()
_adapters: dict[type, TypeAdapter[Any]] = {}


@dataclass(frozen=True)
class Listing:
    """What one listing of a repository has: the recovery points, newest first.

    `expired` are the points that the repository says some host's `expire` removed, `confirmed` those whose
    losses somebody has confirmed, `records` the snapshots that say so. `snapshots` are all of the site.
    """

    points: tuple[Point, ...]
    expired: frozenset[str] = frozenset()
    records: tuple[Snapshot, ...] = ()
    confirmed: frozenset[str] = frozenset()
    snapshots: tuple[Snapshot, ...] = ()

    @property
    def sealed(self) -> frozenset[str]:
        """The ids of the sealed points."""
        return frozenset(point.id for point in self.points if point.manifest)


@dataclass(frozen=True)
class Catalog:
    """The recovery points of one site in one repository, which the configuration calls `name`.

    `alike` has files with the manifest of a seal by the hash of everything in it: one that is a copy need not
    be read.
    """

    repository: Repository
    site: str
    state: State
    cache: Path
    name: str
    alike: Mapping[str, Path] = field(default_factory=dict, repr=False)

    def tags(self, point: str, *more: str) -> tuple[str, ...]:
        """The tags of a snapshot that belongs to a point."""
        return (seals.SITE + self.site, seals.POINT + point, seals.MACHINE + self.state.machine, *more)

    def find(self, wanted: str, *, locked: bool = False) -> tuple[Point, PointManifest]:
        """The sealed point that `wanted` means, as `pick` says; of one by name nothing else is read.

        Where there are no copies that matters: restic takes a good part of a second for each manifest.
        """
        return self.find_among(wanted, locked=locked)[:2]

    def find_among(
        self, wanted: str, *, locked: bool = False
    ) -> tuple[Point, PointManifest, tuple[Point, ...]]:
        """The same, and all points that were read for it."""
        if wanted and wanted != "latest":
            found = self.points(locked=locked, only=wanted)
            if len(found) == 1 and found[0].manifest is not None:
                return found[0], found[0].manifest, found
        points = self.points(locked=locked)
        if not points and (others := self.other_sites()):
            raise NoSuchPoint(
                f"the repository has no recovery point of {self.site}, but some of {', '.join(others)}",
                hint="set name in [site] to the site whose points are wanted",
            )
        return (*pick(wanted, points), points)

    def other_sites(self) -> tuple[str, ...]:
        """The other sites that the repository has recovery points of."""
        snapshots, _ = self.repository.listed()
        return tuple(sorted({site for s in snapshots if (site := seals.value(s, seals.SITE))} - {self.site}))

    def points(self, *, locked: bool = False, only: str = "") -> tuple[Point, ...]:
        """All recovery points, sealed or not, newest first, each with its drills: those of `look`."""
        return self.look(locked=locked, only=only).points

    def look(self, *, locked: bool = False, strict: bool = False, only: str = "") -> Listing:
        """List the repository: its recovery points, sealed or not, each with its drills.

        A manifest or report that cannot be read costs its own point or drill alone: the others may be what is
        needed now. `locked` is for whoever goes on to work with them: a lock that stands in the way is met
        here already. `strict` is for whoever removes points: a drill's report that cannot be read may be the
        last proof, and is a ToolFailed. `only` leaves out points whose id does not begin with that.
        """
        snapshots, unread = self.repository.listed(seals.SITE + self.site, locked=locked)
        if unread:
            names = ", ".join(name[:8] for name in unread[:3])
            why = f"{len(unread)} snapshots of the repository cannot be read: {names}"
            if strict:
                raise ToolFailed(why, hint="`drkit verify` says what is damaged")
            log.warning("%s", why)
        if not snapshots and (others := self.other_sites()):
            log.warning(
                "the repository has no recovery point of %s, but some of %s: see name in [site]",
                self.site,
                ", ".join(others),
            )
        wanted = [s for s in snapshots if (seals.value(s, seals.POINT) or "").startswith(only)]
        reports = [s for s in wanted if seals.value(s, seals.DRILL)]
        groups: dict[str, list[Snapshot]] = {}
        for snapshot in wanted:
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
                    why, hint="repair the repository, or remove that snapshot with `restic forget`"
                )
            log.warning("%s", why)
        self._forget_copies({s.id for s in snapshots})
        found = [
            seals.point_of(name, group, manifests, notes, unread=len(unread))
            for name, group in groups.items()
        ]
        expired, confirmed = _tagged(snapshots, seals.EXPIRED), _tagged(snapshots, seals.CONFIRMED)
        return Listing(
            tuple(sorted(found, key=lambda point: (point.taken_at, point.id), reverse=True)),
            frozenset(point for record in expired for point in seals.values(record, seals.EXPIRED)),
            (*expired, *confirmed),
            frozenset(point for record in confirmed for point in seals.values(record, seals.CONFIRMED)),
            snapshots,
        )

    def fetch_seal(self, point: Point, lists: Path | None = None) -> SealFiles:
        """The seal of a sealed point; lists, which grow with the registry, are put into `lists` or left.

        Raises the repository's errors, and RestoreDamaged where it cannot be used.
        """
        seal = point.manifest_snapshot or point.id
        archive = self.repository.archive(seal, "/")
        copied = dict(point.copied_as)
        return seal_files.read(archive, lambda data: _trusted(data, point.id, seal).found_as(copied), lists)

    def without_copies(self, directory: Path) -> Catalog:
        """The same, read from the repository alone: restic's cache and all copies are new, in `directory`.

        Not without a cache: restic would then ask for every tree by itself, and each of its processes for the
        index.
        """
        access = replace(self.repository.access, cache=directory / "cache")
        return replace(self, repository=Repository(access), cache=directory / "catalog", alike={})

    def manifests(self, snapshots: Iterable[Snapshot]) -> dict[str, Path]:
        """Where the manifests of seals are kept here, for `alike` of another repository's catalog."""
        return {s.tree: self.cache / f"{s.id}.json" for s in snapshots if s.tree and seals.SEAL in s.tags}

    def impatient(self) -> Catalog:
        """The same where others are waited for in vain if this one does not answer."""
        access = self.repository.access
        access = replace(access, stall_limit=min(access.stall_limit, _PATIENCE))
        return replace(self, repository=Repository(access))

    def snapshots_of(self, point: str) -> tuple[Snapshot, ...]:
        """The snapshots that bear a point's tag, its manifest and its drills among them."""
        return self.repository.snapshots(seals.POINT + point)

    def seal(self, manifest: PointManifest, directory: Path, at: datetime | None = None) -> Saved:
        """Store the seal, last of all: from here on the point counts. It is dated `at`, or now.

        `directory` has the files of the parts that are in the seal. The manifest is put beside them, and how
        the point comes back without drkit, for whoever has nothing but restic.
        """
        # Here, for what looks at points alone needs neither templates nor PostgreSQL.
        from drkit.points import recovery

        if odd := seals.unsafe(manifest):
            raise ConfigError(
                f"no point can be restored with this name or path in it: {odd}",
                hint="rename it",
            )
        data = _adapter(PointManifest).dump_json(manifest, indent=1)
        texts = recovery.files(manifest, f"{seals.POINT}{manifest.id},{seals.SEAL}")
        (directory / seal_files.MANIFEST).write_bytes(data)
        for name, text in texts.items():
            (directory / name).write_text(text, encoding="utf-8")
        inside = (part.path.lstrip("/") for part in manifest.parts if not part.snapshot)
        trail = (seal_files.TRAIL,) if (directory / seal_files.TRAIL).exists() else ()
        names = (seal_files.MANIFEST, *texts, *trail, *inside)
        tags = self.tags(manifest.id, seals.SEAL)
        saved = self.repository.save_files(directory, names, tags, self.site, at)
        self._copy(saved.snapshot, data)
        return saved

    def keep_drill(self, report: DrillReport) -> str:
        """Store a drill's report beside the point that it drilled. Returns its snapshot."""
        data = _adapter(DrillReport).dump_json(report, indent=1)
        tags = self.tags(report.point, seals.DRILL + report.id)
        saved = self.repository.save_stream([data], REPORT_FILE, tags, self.site)
        self._copy(saved.snapshot, data)
        return saved.snapshot

    def record_expired(self, points: Sequence[str]) -> str:
        """Say in the repository that points were removed by `expire`; returns the snapshot.

        Other hosts of this site may have seen them, and would miss them.
        """
        return self._record(EXPIRED_FILE, seals.EXPIRED, points)

    def record_confirmed(self, point: str) -> str:
        """Say in the repository, for all hosts, that what a point has lost is meant; returns the snapshot."""
        return self._record(CONFIRMED_FILE, seals.CONFIRMED, [point])

    def _record(self, name: str, prefix: str, points: Sequence[str]) -> str:
        """Store a record of these points, with a tag for each."""
        facts = {"site": self.site, "host": platform.node(), "at": utc_now().isoformat(), "points": points}
        tags = [seals.SITE + self.site, seals.MACHINE + self.state.machine]
        tags += [prefix + point for point in points]
        return self.repository.save_stream([json.dumps(facts).encode()], name, tags, self.site).snapshot

    def drill_snapshots(self, points: Iterable[str]) -> tuple[str, ...]:
        """Snapshots of the drill reports of those points."""
        wanted = set(points)
        every = self.repository.snapshots(seals.SITE + self.site)
        return tuple(
            s.id for s in every if seals.value(s, seals.DRILL) and seals.value(s, seals.POINT) in wanted
        )

    def _manifest(self, snapshot: Snapshot) -> PointManifest | str:
        """The manifest of a seal, or why it cannot be had."""
        found = self._read(PointManifest, snapshot, seal_files.MANIFEST)
        if isinstance(found, str):
            return f"its manifest {found}"
        if found.schema > MANIFEST_SCHEMA:
            return f"its manifest (snapshot {snapshot.id[:8]}) was made by a newer drkit"
        return found.in_seal(snapshot.id)

    def _note(self, snapshot: Snapshot) -> DrillNote | str:
        """What is kept in mind of a drill, read from its report, or why it cannot be had."""
        note = self._read(DrillNote, snapshot, REPORT_FILE)
        if isinstance(note, str):
            return f"the report of drill {seals.value(snapshot, seals.DRILL)} {note}"
        return note

    def _read(self, kind: type[T], snapshot: Snapshot, name: str) -> T | str:
        """What a snapshot's file says, from the copy here or the repository; or what is wrong with it."""
        for file in (self.cache / f"{snapshot.id}.json", self.alike.get(snapshot.tree)):
            with contextlib.suppress(OSError):
                # A copy that a power cut has emptied says nothing of what is in the repository.
                if file and (kept := _parse(kind, data := file.read_bytes())) is not None:
                    if file.parent != self.cache:
                        self._copy(snapshot.id, data)
                    return kept
        try:
            data = b"".join(self.repository.read(snapshot.id, f"/{name}", locked=False))
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
        stall_limit=chosen.stall_limit,
        records=state.restics,
        credentials=read_credentials(chosen.credentials_file),
    )
    return Catalog(Repository(access), settings.site.name, state, state.catalog / chosen.name, chosen.name)


def _trusted(data: bytes, point: str, seal: str) -> PointManifest:
    """The manifest of a point, from its bytes in that snapshot; raises RestoreDamaged."""
    manifest = _parse(PointManifest, data)
    if manifest is None or manifest.id != point or seals.unsafe(manifest):
        raise RestoreDamaged(
            f"the manifest of {point} cannot be read", hint="use another point; run `drkit verify`"
        )
    return manifest.in_seal(seal)


def _tagged(snapshots: Iterable[Snapshot], prefix: str) -> tuple[Snapshot, ...]:
    """The snapshots that have a tag of that kind."""
    return tuple(snapshot for snapshot in snapshots if seals.value(snapshot, prefix))


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
