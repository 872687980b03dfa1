"""Recovery points and drills, as the repository has them.

The repository is the truth: every list starts from `restic snapshots`. What stands in the state directory is
a copy of manifests and drill reports (reading.py); with the copies gone they are read from the repository
again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from drkit import config
from drkit.errors import ConfigError, NoSuchPoint, RestoreDamaged, ToolFailed
from drkit.model import DrillNote, DrillReport, Point, PointManifest, utc_now
from drkit.points import history, listing, seal_files, seals
from drkit.points.choice import pick
from drkit.points.listing import Listing
from drkit.points.reading import ENVELOPE_FILE, PAGE_FILE, REPORT_FILE, Reader, dump, parse
from drkit.points.seal_files import SealFiles
from drkit.state.directory import State
from drkit.tools.credentials import read_credentials
from drkit.tools.parallel import side_by_side
from drkit.tools.restic.access import Access
from drkit.tools.restic.output import Saved, Snapshot
from drkit.tools.restic.repository import Repository

if TYPE_CHECKING:
    from drkit.reports.attestation import Signed

log = logging.getLogger(__name__)

EXPIRED_FILE = "expired.json"
CONFIRMED_FILE = "confirmed.json"
# restic itself tries for a quarter of an hour.
_PATIENCE = timedelta(minutes=1)


@dataclass(frozen=True)
class Catalog:
    """The recovery points of one site in one repository, which the configuration calls `name`.

    `alike` and `histories` are those of its Reader.
    """

    repository: Repository
    site: str
    state: State
    cache: Path
    name: str
    alike: Mapping[str, Path] = field(default_factory=dict, repr=False)
    histories: bool = True

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
        if not points and (others := sorted(self.other_sites())):
            raise NoSuchPoint(
                f"the repository has no recovery point of {self.site}, but some of {', '.join(others)}",
                hint="set name in [site] to the site whose points are wanted",
            )
        return (*pick(wanted, points), points)

    def other_sites(self) -> frozenset[str]:
        """The other sites that the repository has recovery points of."""
        return seals.sites(self.repository.listed()[0]) - {self.site}

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
        known = self._reader.snapshots()
        with side_by_side(1) as tasks:
            listed = tasks.begin("list", lambda: self.repository.listed(locked=locked, known=known))
            # While restic is at it; one that is asked for by name is read alone.
            recalled = {} if only else self._reader.recall()
            every, unread = listed()
        snapshots = tuple(s for s in every if seals.SITE + self.site in s.tags)
        if unread:
            names = ", ".join(name[:8] for name in unread[:3])
            why = f"{len(unread)} snapshots of the repository cannot be read: {names}"
            if strict:
                raise ToolFailed(why, hint="`drkit verify` says what is damaged")
            log.warning("%s", why)
        if not snapshots and (others := seals.sites(every)):
            log.warning(
                "the repository has no recovery point of %s, but some of %s: see name in [site]",
                self.site,
                ", ".join(sorted(others)),
            )
        groups = listing.grouped(snapshots, only)
        manifests, read = self._reader.read(groups.sealing, groups.reports, recalled)
        for why in (note for note in read if isinstance(note, str)):
            if strict:
                raise ToolFailed(
                    why, hint="repair the repository, or remove that snapshot with `restic forget`"
                )
            log.warning("%s", why)
        if known.keys() != {s.id for s in every}:
            self._reader.keep_snapshots(every)
        self._reader.forget_but({s.id for s in snapshots})
        notes = [note for note in read if isinstance(note, DrillNote)]
        return listing.listing(snapshots, groups, manifests, notes, len(unread))

    @property
    def _reader(self) -> Reader:
        return Reader(self.repository, self.cache, self.alike, self.histories)

    def keep(self, snapshot: Snapshot, data: bytes) -> None:
        """Keep here what a snapshot says, for as long as that is in the repository."""
        self._reader.keep(snapshot.id, data)

    def fetch_seal(self, point: Point, lists: Path | None = None) -> SealFiles:
        """The seal of a sealed point; lists, which grow with the registry, are put into `lists` or left.

        Raises the repository's errors, and RestoreDamaged where it cannot be used.
        """
        seal = point.manifest_snapshot or point.id
        archive = self.repository.archive(seal, "/")
        copied = dict(point.copied_as)
        return seal_files.read(archive, lambda data: _trusted(data, point.id, seal).found_as(copied), lists)

    def without_copies(self, directory: Path) -> Catalog:
        """The same, each manifest from its own seal: restic's cache and all copies are new, in `directory`.

        Not without a cache: restic would then ask for every tree by itself, and each of its processes for the
        index.
        """
        access = replace(self.repository.access, cache=directory / "cache")
        return replace(
            self, repository=Repository(access), cache=directory / "catalog", alike={}, histories=False
        )

    def by_own_seals(self) -> Catalog:
        """The same, where no seal and no other repository is believed what it says of a snapshot not its own.

        For whoever removes what lists say that nobody needs. It costs a restic for each that this machine has
        not read yet.
        """
        return replace(self, alike={}, histories=False)

    def manifests(self, snapshots: Iterable[Snapshot]) -> dict[str, Path]:
        """Where the manifests of seals are kept here, for `alike` of another repository's catalog."""
        sealing = (s for s in snapshots if s.tree and seals.SEAL in s.tags)
        return {s.tree: self._reader.known(s) for s in sealing}

    def impatient(self) -> Catalog:
        """The same where others are waited for in vain if this one does not answer."""
        access = self.repository.access
        access = replace(access, stall_limit=min(access.stall_limit, _PATIENCE))
        return replace(self, repository=Repository(access))

    def snapshots(self) -> tuple[Snapshot, ...]:
        """All snapshots of the site, oldest first, as far as they can be read."""
        return self.repository.snapshots(seals.SITE + self.site)

    def snapshots_of(self, point: str) -> tuple[Snapshot, ...]:
        """The snapshots that bear a point's tag, its manifest and its drills among them."""
        return self.repository.snapshots(seals.POINT + point)

    def seal(
        self,
        manifest: PointManifest,
        directory: Path,
        at: datetime | None = None,
        known: Sequence[Snapshot] = (),
    ) -> Saved:
        """Store the seal, last of all: from here on the point counts. It is dated `at`, or now.

        `directory` has the files of the parts that are in the seal. The manifest is put beside them, how the
        point comes back without drkit, for whoever has nothing but restic, and what lists tell of the `known`
        snapshots that were there before.
        """
        # Here, for what looks at points alone needs neither templates nor PostgreSQL.
        from drkit.points import recovery

        if odd := seals.unsafe(manifest):
            raise ConfigError(
                f"no point can be restored with this name or path in it: {odd}",
                hint="rename it",
            )
        data = dump(PointManifest, manifest)
        texts = recovery.files(manifest, f"{seals.POINT}{manifest.id},{seals.SEAL}")
        (directory / seal_files.MANIFEST).write_bytes(data)
        for name, text in texts.items():
            (directory / name).write_text(text, encoding="utf-8")
        with (directory / history.FILE_NAME).open("wb") as file:
            file.writelines(history.lines(self._reader.history(known, data)))
        inside = (part.path.lstrip("/") for part in manifest.parts if not part.snapshot)
        trail = (seal_files.TRAIL,) if (directory / seal_files.TRAIL).exists() else ()
        names = (seal_files.MANIFEST, history.FILE_NAME, *texts, *trail, *inside)
        tags = self.tags(manifest.id, seals.SEAL)
        saved = self.repository.save_files(directory, names, tags, self.site, at)
        self._reader.keep(saved.snapshot, data)
        return saved

    def keep_drill(self, report: DrillReport, page: str, signed: Signed | None, directory: Path) -> str:
        """Store a drill's report and its page beside the point that it drilled. Returns its snapshot.

        `directory` is one of our own, for its files.
        """
        data = dump(DrillReport, report)
        (directory / REPORT_FILE).write_bytes(data)
        (directory / PAGE_FILE).write_text(page, encoding="utf-8")
        names, tags = [REPORT_FILE, PAGE_FILE], [seals.DRILL + report.id]
        if signed is not None:
            (directory / ENVELOPE_FILE).write_bytes(signed.envelope)
            names.append(ENVELOPE_FILE)
            tags += [seals.STATEMENT + signed.sha256, *(seals.AFTER + each for each in signed.after)]
        saved = self.repository.save_files(directory, names, self.tags(report.point, *tags), self.site)
        if note := parse(DrillNote, data):
            self._reader.keep(saved.snapshot, dump(DrillNote, note))
        return saved.snapshot

    def envelope(self, snapshot: Snapshot) -> bytes | None:
        """A drill's report as it was signed, None if it was not; raises the repository's errors."""
        if not seals.value(snapshot, seals.STATEMENT):
            return None
        return b"".join(self.repository.read(snapshot.id, f"/{ENVELOPE_FILE}", locked=False))

    def drill_page(self, snapshot: Snapshot) -> str:
        """The page of a report, as it was then; raises the repository's errors."""
        data = b"".join(self.repository.read(snapshot.id, f"/{PAGE_FILE}", locked=False))
        return data.decode("utf-8", "replace")

    def drill_report(self, snapshot: Snapshot) -> DrillReport:
        """A drill's report, signed or not; raises the repository's errors, and RestoreDamaged.

        Its id is that of the snapshot's tag, and the name of a folder.
        """
        data = b"".join(self.repository.read(snapshot.id, f"/{REPORT_FILE}", locked=False))
        found = parse(DrillReport, data)
        drill = seals.value(snapshot, seals.DRILL)
        if found is not None and (found.id != drill or not seals.is_name(found.id)):
            raise RestoreDamaged(
                f"the report in snapshot {snapshot.id[:8]} is not that of drill {seals.shown(drill)}",
                hint="see who can write to the repository",
            )
        if found is None:
            raise RestoreDamaged(
                f"the report in snapshot {snapshot.id[:8]} is not understood",
                hint="a newer drkit may have made it; else run `drkit verify`",
            )
        return found

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
        upload_limit=chosen.upload_limit,
        download_limit=chosen.download_limit,
        credentials=read_credentials(chosen.credentials_file),
    )
    return Catalog(Repository(access), settings.site.name, state, state.catalog / chosen.name, chosen.name)


def _trusted(data: bytes, point: str, seal: str) -> PointManifest:
    """The manifest of a point, from its bytes in that snapshot; raises RestoreDamaged."""
    manifest = parse(PointManifest, data)
    if manifest is None or manifest.id != point or seals.unsafe(manifest):
        raise RestoreDamaged(
            f"the manifest of {point} cannot be read", hint="use another point; run `drkit verify`"
        )
    return manifest.in_seal(seal)


def part_tags(catalog: Catalog, point: str, kind: str, name: str) -> tuple[str, ...]:
    """The tags of a part's snapshot."""
    return catalog.tags(point, seals.part_tag(kind, name))
