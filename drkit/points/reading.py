"""Manifests of seals and reports of drills, each read once.

What was read is kept in the state directory under its snapshot's id, which names content that never changes;
so is the list of snapshots itself.
Of what is not there, many are found together in the history of a seal; the others cost a restic each. What a
history says of another snapshot is its writer's word, and is kept apart: nothing is removed by it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic_core import SchemaValidator

from drkit.errors import ToolFailed
from drkit.files import make_directory, replace_file
from drkit.model import MANIFEST_SCHEMA, DrillNote, PointManifest
from drkit.points import history, seal_files, seals
from drkit.tools import foreign
from drkit.tools.parallel import in_order
from drkit.tools.restic.output import Snapshot
from drkit.tools.restic.repository import Repository

T = TypeVar("T")
log = logging.getLogger(__name__)

REPORT_FILE = "drill.json"
# The same report, signed; and its page, in the words and the zone of then.
ENVELOPE_FILE = "drill.dsse.json"
PAGE_FILE = "drill.html"
# Each read costs restic half a second of key derivation; a few at once hide it.
_READERS = 4
# So few are read sooner by themselves.
_FEW = 2
# Seals whose history is read, where that of the newest cannot be read or lacks much.
_HISTORIES = 2
# A field that every manifest has, and no report.
_OF_A_MANIFEST = b'"digest_count"'

# The list of snapshots, as one file.
_LISTED = "snapshots.list"
_Snapshots = tuple[Snapshot, ...]

_making = threading.Lock()
_adapters: dict[type, TypeAdapter[Any]] = {}
_validators: dict[type, SchemaValidator] = {}


def dump(kind: type[T], value: T) -> bytes:
    """A value of that kind as JSON for people as well."""
    return _adapter(kind).dump_json(value, indent=1)


def parse(kind: type[T], data: bytes) -> T | None:
    """What the bytes say, or None for bytes that are not of that kind."""
    try:
        value: T = _validator(kind).validate_json(data)
    except ValidationError:
        return None
    return value


@dataclass(frozen=True)
class Reader:
    """Reads what snapshots of a repository say, and keeps it in the directory `kept`.

    `alike` has files with manifests by the hash of everything in their seals: one that is a copy need not be
    read. Without `histories` each is read from its own seal, as a proof asks for, and whoever removes points.
    """

    repository: Repository
    kept: Path
    alike: Mapping[str, Path] = field(default_factory=dict, repr=False)
    histories: bool = True

    def read(
        self,
        sealing: Sequence[Snapshot],
        reports: Sequence[Snapshot],
        recalled: Mapping[str, PointManifest | DrillNote] | None = None,
    ) -> tuple[dict[str, PointManifest | str], tuple[DrillNote | str, ...]]:
        """The manifests of these seals by their ids, and notes of these drills; or why they cannot be had.

        What was `recalled` is not read again.
        """
        every = (*sealing, *reports)
        found: dict[str, PointManifest | DrillNote | str] = {
            s.id: known for s in every if isinstance(known := (recalled or {}).get(s.id), _type(s))
        }
        # Not side by side: of what is kept here nothing is waited for.
        found |= {s.id: kept for s in every if s.id not in found and (kept := self._kept(s))}
        missing = [s for s in every if s.id not in found]
        if self.histories:
            self._read_histories(sealing, missing)
        found |= zip((s.id for s in missing), in_order(missing, self._read, _READERS), strict=True)
        notes = tuple(_note(snapshot, found[snapshot.id]) for snapshot in reports)
        return {s.id: _manifest(s, found[s.id]) for s in sealing}, notes

    def recall(self) -> dict[str, PointManifest | DrillNote]:
        """All that is kept here, by the ids of the snapshots, whether or not they are still there.

        Sooner than they are listed nobody knows of a file which of the two it is: where a guess is wrong the
        file is left out.
        """
        found: dict[str, PointManifest | DrillNote] = {}
        for directory in (self.told, self.kept) if self.histories else (self.kept,):
            for file in directory.glob("*.json"):
                with contextlib.suppress(OSError):
                    data = file.read_bytes()
                    kind: type[PointManifest | DrillNote]
                    kind = PointManifest if _OF_A_MANIFEST in data else DrillNote
                    if (known := parse(kind, data)) is not None:
                        # All that can be done with it while its snapshot is not known to be there.
                        found[file.stem] = (
                            known.in_seal(file.stem) if isinstance(known, PointManifest) else known
                        )
        return found

    def snapshots(self) -> dict[str, Snapshot]:
        """The snapshots that were listed last, by their ids, whether or not they are still there."""
        with contextlib.suppress(OSError):
            return {s.id: s for s in parse(_Snapshots, (self.kept / _LISTED).read_bytes()) or ()}
        return {}

    def keep_snapshots(self, listed: Sequence[Snapshot]) -> None:
        """Keep what was listed, as `keep` does."""
        with contextlib.suppress(OSError):
            make_directory(self.kept, 0o700, exist_ok=True)
            replace_file(self.kept / _LISTED, _adapter(_Snapshots).dump_json(tuple(listed)).decode())

    @property
    def told(self) -> Path:
        """Where is kept what others say of a snapshot: a history, or another repository's seal."""
        return self.kept / "told"

    def keep(self, snapshot: str, data: bytes, *, told: bool = False) -> None:
        """Keep what a snapshot says; that only saves time, so that a full disk does not stop a restore."""
        directory = self.told if told else self.kept
        with contextlib.suppress(OSError):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = directory / f".{snapshot}.part"
            partial.write_bytes(data)
            partial.replace(directory / f"{snapshot}.json")

    def forget_but(self, known: set[str]) -> None:
        """Keep nothing of snapshots that are gone."""
        with contextlib.suppress(OSError):
            for path in (*self.kept.glob("*.json"), *self.told.glob("*.json")):
                if path.stem not in known:
                    path.unlink()

    def history(self, snapshots: Iterable[Snapshot], own: bytes) -> Iterator[history.Entry]:
        """What a new seal with that manifest tells of these snapshots, as far as it is kept here."""
        yield history.Entry("", "manifest", own)
        for snapshot in (s for s in snapshots if s.tree):
            with contextlib.suppress(OSError):
                file = self.known(snapshot)
                if seals.SEAL in snapshot.tags:
                    if parse(PointManifest, data := file.read_bytes()):
                        yield history.Entry(snapshot.tree, "manifest", data)
                elif seals.value(snapshot, seals.DRILL) and (note := parse(DrillNote, file.read_bytes())):
                    yield history.Entry(snapshot.tree, "drill", _adapter(DrillNote).dump_json(note))

    def known(self, snapshot: Snapshot) -> Path:
        """The file that is kept of a snapshot; one that is not there, if none is."""
        return next((file for file in self._files(snapshot) if file.exists()), self._file(snapshot.id))

    def _file(self, snapshot: str) -> Path:
        return self.kept / f"{snapshot}.json"

    def _files(self, snapshot: Snapshot) -> Iterator[Path]:
        """Where something may be kept of it, its own words first."""
        yield self._file(snapshot.id)
        if self.histories:
            yield self.told / f"{snapshot.id}.json"
            if alike := self.alike.get(snapshot.tree):
                yield alike

    def _kept(self, snapshot: Snapshot) -> PointManifest | DrillNote | None:
        """What a snapshot says, by what is kept of it; None where nothing is, or nothing that can be read."""
        kind = _type(snapshot)
        for file in self._files(snapshot):
            with contextlib.suppress(OSError):
                # A copy that a power cut has emptied says nothing of what is in the repository.
                if (known := parse(kind, data := file.read_bytes())) is not None:
                    if file.parent not in (self.kept, self.told):
                        self.keep(snapshot.id, data, told=True)
                    return known
        return None

    def _read(self, snapshot: Snapshot) -> PointManifest | DrillNote | str:
        """What a snapshot says, by a history that was read meanwhile or the repository; or what is wrong."""
        if (known := self._kept(snapshot)) is not None:
            return known
        name = seal_files.MANIFEST if seals.SEAL in snapshot.tags else REPORT_FILE
        try:
            data = b"".join(self.repository.read(snapshot.id, f"/{name}", locked=False))
        except ToolFailed as error:
            return f"(snapshot {snapshot.id[:8]}) cannot be read: {error.message}"
        found = parse(_type(snapshot), data)
        if found is None:
            return f"(snapshot {snapshot.id[:8]}) is not understood: a newer drkit may have made it"
        # A report is fifty times as long as what lists need of it.
        self.keep(snapshot.id, dump(DrillNote, found) if isinstance(found, DrillNote) else data)
        return found

    def _read_histories(self, sealing: Sequence[Snapshot], missing: Sequence[Snapshot]) -> None:
        """Take together what is not kept yet, from the newest seals."""
        wanted = {s.id: s for s in missing}
        for seal in sorted(sealing, key=lambda s: s.time, reverse=True)[:_HISTORIES]:
            if len(wanted) <= _FEW:
                return
            if seal.tree:
                for snapshot in self._keep_history(seal, wanted.values()):
                    wanted.pop(snapshot, None)

    def _keep_history(self, seal: Snapshot, wanted: Iterable[Snapshot]) -> tuple[str, ...]:
        """Keep what a seal's history tells of snapshots; returns of which: none, if it cannot be read."""
        places = {(_kind(s), s.tree): s.id for s in wanted if s.tree}
        found = []
        pieces = self.repository.read(seal.id, f"/{history.FILE_NAME}", locked=False)
        try:
            for entry in history.entries(pieces):
                place = places.get((entry.kind, entry.tree or seal.tree))
                if place is not None:
                    self.keep(place, entry.data, told=True)
                    found.append(place)
        except ToolFailed as error:
            log.info("the history in seal %s cannot be read: %s", seal.id[:8], error.message)
        return tuple(found)


def _manifest(seal: Snapshot, found: object) -> PointManifest | str:
    """What was read of a seal as its manifest, or why it cannot be had."""
    if not isinstance(found, PointManifest):
        return f"its manifest {found}"
    if found.schema > MANIFEST_SCHEMA:
        return f"its manifest (snapshot {seal.id[:8]}) was made by a newer drkit"
    return found.in_seal(seal.id)


def _note(report: Snapshot, found: object) -> DrillNote | str:
    """What was read of a drill's report as what is kept in mind of it, or why it cannot be had."""
    drill = seals.value(report, seals.DRILL)
    if not isinstance(found, DrillNote):
        return f"the report of drill {seals.shown(drill)} {found}"
    if (found.id, found.point) != (drill, seals.value(report, seals.POINT)) or not seals.is_name(found.id):
        return f"the report of drill {seals.shown(drill)} (snapshot {report.id[:8]}) is that of another"
    return found


def _type(snapshot: Snapshot) -> type[PointManifest] | type[DrillNote]:
    return PointManifest if seals.SEAL in snapshot.tags else DrillNote


def _kind(snapshot: Snapshot) -> history.Kind:
    return "manifest" if seals.SEAL in snapshot.tags else "drill"


def _adapter(kind: type[T]) -> TypeAdapter[T]:
    """Made once a kind, by one of the readers: to make one takes far longer than to read with it."""
    with _making:
        if kind not in _adapters:
            _adapters[kind] = TypeAdapter(kind)
        return _adapters[kind]


def _validator(kind: type[T]) -> SchemaValidator:
    """The same, for what comes in."""
    adapter = _adapter(kind)
    with _making:
        if kind not in _validators:
            _validators[kind] = foreign.validator(adapter)
        return _validators[kind]
