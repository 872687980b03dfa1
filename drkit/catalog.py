"""Recovery points and drills, as the repository has them.

The repository is the truth: every list starts from `restic snapshots`. What stands in the state directory is
a copy of manifests and drill reports under their snapshot's id, which names content that never changes; with
the copies gone they are read from the repository again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from drkit import config, recovery
from drkit.errors import ConfigError, NoSuchPoint, RestoreDamaged
from drkit.model import MANIFEST_SCHEMA, DrillNote, DrillReport, Manifest, Part, Point, PointStatus
from drkit.state import State, private_directory
from drkit.tools import restic
from drkit.tools.restic import Repository
from drkit.tools.restic_output import Snapshot

T = TypeVar("T")

MANIFEST_FILE = "manifest.json"
REPORT_FILE = "drill.json"
_SEAL = "drkit:manifest"
_POINT = "drkit:point:"
_DRILL = "drkit:drill:"
_SITE = "drkit:site:"
_MACHINE = "drkit:machine:"
_BUNDLE = "drkit:part:secrets:secrets"
# Each read costs restic half a second of key derivation; a few at once hide it.
_READERS = 4


@dataclass(frozen=True)
class Catalog:
    """The recovery points of one site in one repository."""

    repository: Repository
    site: str
    state: State
    cache: Path

    def tags(self, point: str, *more: str) -> tuple[str, ...]:
        """The tags of a snapshot that belongs to a point."""
        return (_SITE + self.site, _POINT + point, _MACHINE + self.state.machine, *more)

    def points(self, *, locked: bool = False) -> tuple[Point, ...]:
        """All recovery points, sealed or not, newest first, each with its drills.

        `locked` is for whoever goes on to work with them: a lock that stands in the way is met here already.
        """
        snapshots = self.repository.snapshots(_SITE + self.site, locked=locked)
        reports = [s for s in snapshots if _value(s, _DRILL)]
        groups: dict[str, list[Snapshot]] = {}
        for snapshot in snapshots:
            point = _value(snapshot, _POINT)
            if point and not _value(snapshot, _DRILL):
                groups.setdefault(point, []).append(snapshot)
        seals = [s for group in groups.values() for s in group if _SEAL in s.tags]
        with ThreadPoolExecutor(_READERS) as pool:
            manifests = dict(zip((s.id for s in seals), pool.map(self._manifest, seals), strict=True))
            notes = tuple(note for note in pool.map(self._note, reports) if note)
        self._forget_copies({s.id for s in snapshots})
        machine = self._here()
        found = [_point(name, group, manifests, notes, machine) for name, group in groups.items()]
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
        return self.repository.snapshots(_POINT + point)

    def seal(self, manifest: Manifest) -> str:
        """Store the manifest, last of all: from here on the point counts. Returns its snapshot.

        Beside it stands, for whoever has nothing but restic, how the point comes back without drkit.
        """
        data = TypeAdapter(Manifest).dump_json(manifest, indent=1)
        texts = recovery.files(manifest, f"{_POINT}{manifest.id},{_SEAL}")
        with private_directory(self.state.runs, f"seal-{manifest.id}-{os.getpid()}") as directory:
            (directory / MANIFEST_FILE).write_bytes(data)
            for name, text in texts.items():
                (directory / name).write_text(text, encoding="utf-8")
            names = (MANIFEST_FILE, *texts)
            saved = self.repository.save_files(directory, names, self.tags(manifest.id, _SEAL), self.site)
        self._copy(saved.snapshot, data)
        return saved.snapshot

    def keep_drill(self, report: DrillReport) -> str:
        """Store a drill's report beside the point that it drilled. Returns its snapshot."""
        data = TypeAdapter(DrillReport).dump_json(report, indent=1)
        tags = self.tags(report.point, _DRILL + report.id)
        saved = self.repository.save_stream([data], REPORT_FILE, tags, self.site)
        self._copy(saved.snapshot, data)
        return saved.snapshot

    def drill_snapshots(self, points: Iterable[str]) -> tuple[str, ...]:
        """Snapshots of the drill reports of those points."""
        wanted = set(points)
        every = self.repository.snapshots(_SITE + self.site)
        return tuple(s.id for s in every if _value(s, _DRILL) and _value(s, _POINT) in wanted)

    def _manifest(self, snapshot: Snapshot) -> Manifest | None:
        manifest = _parse(Manifest, self._content(snapshot, MANIFEST_FILE))
        return manifest if manifest and manifest.schema <= MANIFEST_SCHEMA else None

    def _note(self, snapshot: Snapshot) -> DrillNote | None:
        report = _parse(DrillReport, self._content(snapshot, REPORT_FILE))
        if report is None:
            return None
        took = report.recovery_time_seconds
        return DrillNote(report.id, report.point, report.level, report.outcome, report.finished_at, took)

    def _content(self, snapshot: Snapshot, name: str) -> bytes:
        copy = self.cache / f"{snapshot.id}.json"
        with contextlib.suppress(OSError):
            return copy.read_bytes()
        data = b"".join(self.repository.read(snapshot.id, f"/{name}"))
        self._copy(snapshot.id, data)
        return data

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
    repository = Repository(
        url=chosen.url,
        password_file=chosen.password_file,
        cache=state.cache,
        lock_wait=chosen.lock_wait,
        credentials=restic.read_credentials(chosen.credentials_file),
    )
    return Catalog(repository, settings.site.name, state, state.catalog / chosen.name)


def pick(wanted: str, points: Sequence[Point]) -> tuple[Point, Manifest]:
    """The sealed point that `wanted` means, with its manifest; raises NoSuchPoint."""
    if not wanted:
        # It would be the beginning of every id. Most likely a variable of a shell is not set.
        raise NoSuchPoint(
            "a recovery point has no empty name", hint="say an id, a prefix of one, or `latest`"
        )
    sealed = [point for point in points if point.manifest]
    if not sealed:
        raise NoSuchPoint("there is no sealed recovery point", hint="take one with `drkit backup`")
    matches = sealed[:1] if wanted == "latest" else [p for p in points if p.id.startswith(wanted)]
    exact = [point for point in matches if point.id == wanted] or matches
    if not exact:
        raise NoSuchPoint(f'there is no recovery point "{wanted}"', hint=f"the newest is {sealed[0].id}")
    if len(exact) > 1:
        some = ", ".join(point.id for point in exact[:4])
        raise NoSuchPoint(f'"{wanted}" could be {len(exact)} recovery points', hint=f"say which: {some}")
    if exact[0].manifest is None:
        raise NoSuchPoint(
            f"recovery point {exact[0].id} is incomplete and is never restored",
            hint=f"the newest sealed one is {sealed[0].id}",
        )
    return exact[0], exact[0].manifest


def part_tags(catalog: Catalog, point: str, kind: str, name: str) -> tuple[str, ...]:
    """The tags of a part's snapshot."""
    return catalog.tags(point, _part_tag(kind, name))


def foreign_parts(manifest: Manifest, point: str, snapshots: Iterable[Snapshot]) -> tuple[str, ...]:
    """What in a manifest does not belong to the point, a sentence each; none is good.

    restic names a snapshot by the hash of what is in it, tags included, so one that bears the tags of a point
    and a part was stored as that and as nothing else.
    """
    said = [] if manifest.id == point else [f"the manifest is that of {manifest.id}"]
    known = {name: s for s in snapshots for name in (s.id, s.original) if name}
    for part in manifest.parts:
        snapshot = known.get(part.snapshot)
        label = f"{part.kind} {part.name}"
        stored = part.bytes if part.snapshot_bytes is None else part.snapshot_bytes
        wanted = (_SITE + manifest.site, _POINT + point, _part_tag(part.kind, part.name))
        if snapshot is None:
            said.append(f"{label}: no snapshot {part.snapshot[:8]} of this point is in the repository")
        elif not set(wanted) <= set(snapshot.tags):
            said.append(f"{label}: snapshot {part.snapshot[:8]} was not stored as that")
        elif snapshot.bytes not in (None, stored):
            said.append(f"{label}: {snapshot.bytes:,} bytes were stored, not {stored:,}")
    return tuple(said)


def _value(snapshot: Snapshot, prefix: str) -> str | None:
    return next((tag.removeprefix(prefix) for tag in snapshot.tags if tag.startswith(prefix)), None)


def _point(
    name: str,
    group: Sequence[Snapshot],
    manifests: dict[str, Manifest | None],
    notes: Iterable[DrillNote],
    machine: str,
) -> Point:
    ids = tuple(snapshot.id for snapshot in group)
    bare = Point(name, PointStatus.INCOMPLETE, group[0].time, ids, machine=_value(group[0], _MACHINE))
    # A manifest counts only for the point that it names, and only while every part of it is still there.
    seals = [
        (manifest, s.id)
        for s in group
        if (manifest := manifests.get(s.id)) and manifest.id == name and _all_there(manifest.parts, group)
    ]
    if not seals:
        return bare
    manifest, seal = max(seals, key=lambda found: found[0].revision)
    return replace(
        bare,
        status=PointStatus.SEALED,
        taken_at=manifest.consistent_at,
        manifest=manifest,
        manifest_snapshot=seal,
        superseded=_superseded(manifest, seal, group, machine),
        drills=tuple(note for note in notes if note.point == name),
    )


def _superseded(manifest: Manifest, seal: str, group: Sequence[Snapshot], machine: str) -> tuple[str, ...]:
    """What this seal took the place of, other seals first; and bundles of this machine that no seal names.

    Those are left by a killed rotation. One of another machine may be about to be sealed, and is not ours.
    """
    named = {seal, *(part.snapshot for part in manifest.parts)}
    left = [s for s in group if s.id not in named]
    replaced = [s for s in left if s.id in manifest.replaces or _SEAL in s.tags]
    stray = [s for s in left if s not in replaced and _BUNDLE in s.tags and _value(s, _MACHINE) == machine]
    ordered = sorted([*replaced, *stray], key=lambda s: _SEAL not in s.tags)
    return tuple(s.id for s in ordered)


def _all_there(parts: Iterable[Part], group: Sequence[Snapshot]) -> bool:
    """Whether each part is among the point's snapshots, and was stored as that part."""
    stored = {(snapshot.id, tag) for snapshot in group for tag in snapshot.tags}
    return all((part.snapshot, _part_tag(part.kind, part.name)) in stored for part in parts)


def _part_tag(kind: str, name: str) -> str:
    return f"drkit:part:{kind}:{name}"


def _parse(kind: type[T], data: bytes) -> T | None:
    """What the bytes say, or None for bytes that are not of that kind: such a point is incomplete."""
    try:
        return TypeAdapter(kind).validate_json(data)
    except ValidationError:
        return None
