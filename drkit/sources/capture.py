"""Capturing all sources of a site at once, under one recovery point's id."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from drkit import config
from drkit.errors import BackupIncomplete, DatabaseBusy, DrkitError, SourceChanged, ToolFailed
from drkit.harbor import tables
from drkit.model import (
    CertificateFacts,
    Closure,
    DatabaseEvidence,
    Part,
    PartKind,
    SecretFile,
    Volume,
    utc_now,
)
from drkit.progress import Listener, Update
from drkit.sources import blobs, database, digests, evidence, fingerprints, harbor_facts, secrets
from drkit.sources.bundle import Member
from drkit.sources.clients import Dumper, dumper
from drkit.sources.database import Held
from drkit.sources.digests import Spool
from drkit.state import State
from drkit.tools import postgres
from drkit.tools.parallel import together
from drkit.tools.restic import Repository
from drkit.tools.restic_output import Saved
from drkit.volumes import freeze

Tagger = Callable[[PartKind, str], tuple[str, ...]]


@dataclass(frozen=True)
class Spoilt:
    """Why an attempt came to nothing although the next may not; `why` goes on "during each of 3 attempts"."""

    why: str
    hint: str
    cause: str = ""


_COLLECTED = Spoilt("a garbage collection ran", "schedule the backup away from Harbor's garbage collection")


@dataclass
class Captured:
    """What the sources of one attempt gave; filled by one thread an item, each its own field or key."""

    parts: list[Part] = field(default_factory=list)
    evidence: list[DatabaseEvidence] = field(default_factory=list)
    closure: Closure | None = None
    warnings: list[str] = field(default_factory=list)
    failures: dict[str, DrkitError] = field(default_factory=dict)
    secret_files: tuple[SecretFile, ...] = ()
    members: tuple[Member, ...] = ()
    certificates: tuple[CertificateFacts, ...] = ()
    fingerprint_key: str = ""
    digest_count: int = 0
    consistent_at: datetime | None = None
    volume: Volume | None = None


class Capture:
    """The capture of all sources of a site.

    `directory` is private to this run, `tags` names a part's snapshot.
    """

    def __init__(
        self,
        settings: config.Config,
        repository: Repository,
        directory: Path,
        tags: Tagger,
        listener: Listener,
    ) -> None:
        self.captured = Captured()
        self._settings = settings
        self._repository = repository
        self._directory = directory
        self._tags = tags
        self._listener = listener
        self._spool: Future[Spool] = Future()

    def run(self) -> Spoilt | None:
        """Capture everything; says why, if it must be done again."""
        settings = self._settings
        with contextlib.ExitStack() as stack:
            held = self._hold_databases(stack)
            dumpers = {h.name: stack.enter_context(self._dumper(h)) for h in held}
            _refuse_collection(held, None)
            moments = [h.consistent_at for h in held]
            # Each database has an instant of its own; the point is as old as the oldest of them.
            self.captured.consistent_at = min(moments) if moments else utc_now()
            work: dict[str, Callable[[], None]] = {}
            for one in held:
                work |= self._database_work(one, dumpers[one.name])
            # Without every database nobody knows which digests must be there, so nothing is compared.
            known = len(held) == len(settings.databases)
            if settings.blobs:
                work["blobs"] = lambda: self._blobs(close=known)
            if settings.blobs and known:
                work["digests"] = lambda: self._digests(held)
            if settings.secrets.paths:
                work["secrets"] = self._secrets
            outcomes = together(work)
            self.captured.failures |= {n: e for n, e in outcomes.items() if isinstance(e, DrkitError)}
            if any(_collected(h, self.captured.consistent_at) for h in held):
                return _COLLECTED
            return _disturbed(self.captured.failures, set(work) - {"blobs", "secrets"})

    def forget(self) -> None:
        """Take back the snapshots of this capture; what cannot be taken back now, the next run sweeps."""
        with contextlib.suppress(DrkitError):
            self._repository.forget([part.snapshot for part in self.captured.parts])

    def _hold_databases(self, stack: contextlib.ExitStack) -> tuple[Held, ...]:
        held = []
        for entry in self._settings.databases:
            try:
                held.append(stack.enter_context(database.hold(entry)))
            except DrkitError as error:
                self.captured.failures[f"database {entry.name}"] = error
        return tuple(held)

    def _dumper(self, held: Held) -> contextlib.AbstractContextManager[Dumper]:
        entry = next(entry for entry in self._settings.databases if entry.name == held.name)
        return dumper(entry, held.target, held.major, self._directory)

    def _database_work(self, held: Held, dumping: Dumper) -> dict[str, Callable[[], None]]:
        if dumping.caveat:
            self.captured.warnings.append(f"database {held.name}: {dumping.caveat}")
        return {
            f"database {held.name}": lambda: self._dump(held, dumping),
            f"roles of {held.name}": lambda: self._roles(held, dumping),
            f"evidence of {held.name}": lambda: self._evidence(held, dumping),
        }

    def _dump(self, held: Held, dumping: Dumper) -> None:
        name = f"{held.name}.dump"
        with self._part("database", held.name, name) as keep, dumping.dump(held.snapshot) as command:
            tags = self._tags("database", held.name)
            try:
                keep(self._repository.save_command(command, name, tags, self._host, self._listener))
            except ToolFailed as error:
                raise postgres.dump_failure(error) from None

    def _roles(self, held: Held, dumping: Dumper) -> None:
        passwords = database.can_read_passwords(held.session)
        if not passwords:
            self.captured.warnings.append(
                f"the passwords of the roles of {held.name} are not in this point: its user may not read them"
            )
        name, dump = f"{held.name}.roles.sql", dumping.dump_roles(passwords=passwords)
        with self._part("roles", held.name, name) as keep, dump as command:
            keep(self._repository.save_command(command, name, self._tags("roles", held.name), self._host))

    def _evidence(self, held: Held, dumping: Dumper) -> None:
        patterns = next(d.count_only for d in self._settings.databases if d.name == held.name)
        for pattern in evidence.idle_patterns(held.tables, patterns):
            self.captured.warnings.append(f'count_only of {held.name}: "{pattern}" names no table')
        facts = harbor_facts.look(held)
        self.captured.warnings += facts.warnings
        found = facts.added_to(evidence.gather(held, patterns))
        self.captured.evidence.append(replace(found, dumped_by=dumping.major))

    def _digests(self, held: Sequence[Held]) -> None:
        try:
            spool = Spool(self._directory / "digests.db")
            for one in held:
                with database.shared_session(one) as session:
                    if tables.is_harbor(session):
                        spool.add(tables.digests(session))
            self._spool.set_result(spool)
        except BaseException as error:
            self._spool.set_exception(error)
            raise
        if held:
            self._save_digests(spool)

    def _save_digests(self, spool: Spool) -> None:
        self.captured.digest_count = len(spool)
        with self._part("digests", "digests", digests.FILE_NAME) as keep:
            tags = self._tags("digests", "digests")
            lines = digests.to_lines(spool)
            keep(self._repository.save_stream(lines, digests.FILE_NAME, tags, self._host))

    def _blobs(self, *, close: bool) -> None:
        source = self._settings.blobs
        assert source is not None
        root = source.path.resolve()
        with self._part("blobs", "blobs", str(root)) as keep:
            tags = self._tags("blobs", "blobs")
            name = freeze.prefix(self._host) + self._directory.name
            place = freeze.Place(State(self._settings.site.state).volumes, name)
            saved, view = blobs.capture(source, self._repository, tags, self._host, self._listener, place)
            self.captured.volume = Volume(view.kind, view.why, view.seconds)
            self.captured.warnings += view.warnings
            keep(saved)
        if close:
            self._close(root, saved.snapshot)

    def _close(self, root: Path, snapshot: str) -> None:
        """Compare what was captured with what the databases refer to."""
        self._listener(Update("closure"))
        referenced = self._spool.result()
        if not self._settings.databases:
            # Without a database, what must be there is what the tree's own links refer to.
            referenced.add(blobs.captured_links(self._repository, snapshot, str(root)))
            self._save_digests(referenced)
        present = blobs.captured_blobs(self._repository, snapshot, str(root))
        closure, damage = blobs.compare(root, referenced, present)
        self.captured.closure = closure
        self._listener(Update("closure", finished=True))
        if damage.in_capture:
            names = ", ".join(damage.in_capture[:3])
            raise ToolFailed(
                f"{len(damage.in_capture)} blobs are in production but not in the snapshot: {names}",
                hint="run the backup again",
            )
        if closure.referenced and not closure.present:
            raise ToolFailed(
                f"none of the {closure.referenced} blobs that the database refers to is in {root}",
                hint="is the right volume mounted there?",
            )
        if damage.in_production:
            names = ", ".join((closure.missing_names + closure.mismatch_names)[:3])
            self.captured.warnings.append(
                f"production is damaged: {damage.in_production} blobs that the database refers to "
                f"are missing or have the wrong size: {names}"
            )

    def _secrets(self) -> None:
        source = self._settings.secrets
        with self._part("secrets", "secrets", secrets.FILE_NAME) as keep:
            gathered, key = secrets.gather(source), fingerprints.load(State(self._settings.site.state))
            sealed = secrets.seal(gathered.members, source.recipients, key)
            self.captured.members = gathered.members
            self.captured.warnings += gathered.warnings
            self.captured.secret_files = secrets.listing(gathered.members, key)
            self.captured.certificates = secrets.certificate_facts(gathered.members)
            self.captured.fingerprint_key = key.id
            tags = self._tags("secrets", "secrets")
            keep(self._repository.save_stream([sealed], secrets.FILE_NAME, tags, self._host))

    @contextlib.contextmanager
    def _part(self, kind: PartKind, name: str, path: str) -> Iterator[Callable[[Saved], None]]:
        """Times a capture, and records it as a part once `keep` is told what was saved."""
        started = time.monotonic()
        where = path if path.startswith("/") else f"/{path}"

        def keep(saved: Saved) -> None:
            took = round(time.monotonic() - started, 3)
            part = Part(kind, name, saved.snapshot, where, saved.bytes, saved.added_bytes, took)
            self.captured.parts.append(part)

        yield keep

    @property
    def _host(self) -> str:
        return self._settings.site.name


def _disturbed(failures: Mapping[str, DrkitError], of_databases: Set[str]) -> Spoilt | None:
    """Whether nothing is wrong but that somebody locked or changed tables while they were read."""
    passing = {n: e for n, e in failures.items() if isinstance(e, DatabaseBusy | SourceChanged)}
    if not failures or passing.keys() != failures.keys() or not passing.keys() <= of_databases:
        return None
    name, error = min(passing.items())
    return Spoilt(
        "tables were locked or changed",
        "a migration is under way: run the backup when it has ended",
        f"{name}: {error.message}",
    )


def _refuse_collection(held: Sequence[Held], since: datetime | None) -> None:
    if any(_collected(one, since) for one in held):
        raise BackupIncomplete(
            "a garbage collection of the registry is under way",
            hint="run the backup when it has ended; schedule them apart",
        )


def _collected(held: Held, since: datetime | None) -> bool:
    """Whether a garbage collection runs now or, with `since`, ran after that; seen outside the snapshot."""
    with postgres.connect(held.target) as session:
        return tables.is_harbor(session) and tables.collections_since(session, since) > 0
