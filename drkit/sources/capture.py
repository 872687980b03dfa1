"""Capturing all sources of a site at once, under one recovery point's id."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import assert_never

from drkit import config
from drkit.errors import DatabaseBusy, DrkitError, SourceChanged, ToolFailed
from drkit.harbor import tables
from drkit.model import (
    Bucketed,
    CertificateFacts,
    Closure,
    DatabaseEvidence,
    Manifest,
    ManifestProof,
    Part,
    PartKind,
    SecretFile,
    Volume,
    utc_now,
)
from drkit.progress import Listener, Update
from drkit.sources import blobs, database, digests, evidence, fingerprints, harbor_facts, secrets
from drkit.sources.bucket import ends as bucket_ends
from drkit.sources.bucket.point import BucketPoint, InVault, Keep, Surroundings
from drkit.sources.bundle import Member
from drkit.sources.clients import Dumper, dumper
from drkit.sources.closure import ARTIFACTS, Proof, Prover, prove_manifests
from drkit.sources.collection import Watch
from drkit.sources.database import Held
from drkit.sources.vault.doubts import Doubts
from drkit.sources.vault.locking import locking_of
from drkit.sources.vault.work import VaultWork
from drkit.state import State
from drkit.tools import postgres_programs
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
    gone: tuple[str, ...] = ()
    volume: Volume | None = None
    bucket: Bucketed | None = None


class Capture:
    """The capture of all sources of a site.

    `directory` is private to this run, `tags` names a part's snapshot, `before` is the last sealed point.
    """

    def __init__(
        self,
        settings: config.Config,
        repository: Repository,
        directory: Path,
        tags: Tagger,
        listener: Listener,
        before: Manifest | None = None,
        vault_work: VaultWork | None = None,
    ) -> None:
        self.captured = Captured()
        self._vault_work = vault_work or VaultWork(settings)
        self._before = before
        self._settings = settings
        self._repository = repository
        self._directory = directory
        self._tags = tags
        self._listener = listener
        self._listed: Future[Path] = Future()
        self._proved: Future[ManifestProof] = Future()

    def run(self) -> Spoilt | None:
        """Capture everything; says why, if it must be done again."""
        settings = self._settings
        watch = Watch(settings)
        watch.wait(self._listener)
        with contextlib.ExitStack() as stack:
            held = self._hold_databases(stack)
            dumpers = {h.name: stack.enter_context(self._dumper(h)) for h in held}
            watch.mark(held)
            moments = [h.consistent_at for h in held]
            # Each database has an instant of its own; the point is as old as the oldest of them.
            self.captured.consistent_at = min(moments) if moments else utc_now()
            work: dict[str, Callable[[], None]] = {}
            for one in held:
                work |= self._database_work(one, dumpers[one.name])
            # Without every database nobody knows which digests must be there, so nothing is compared.
            known = len(held) == len(settings.databases)
            if settings.blobs:
                work["blobs"] = partial(self._blobs, settings.blobs, close=known)
            if settings.blobs and known:
                work["digests"] = lambda: self._digests(held)
            if isinstance(settings.blobs, config.FilesystemBlobs) and held and known:
                work["manifests"] = partial(self._manifests, settings.blobs)
            if settings.secrets.paths:
                work["secrets"] = self._secrets
            outcomes = together(work)
            self.captured.failures |= _failures(outcomes)
            if watch.collected(held, self.captured.gone):
                return _COLLECTED
            return _disturbed(self.captured.failures, set(work) - {"blobs", "secrets"}) or self._outrun()

    def _outrun(self) -> Spoilt | None:
        """Whether nothing is wrong but that links were read whose blobs were pushed after blobs were read.

        That can be where a registry without a database is read live: restic reads a directory's names in
        order, `blobs` before `repositories`. Without pushes in between, every link's blob is there.
        """
        failures, found, volume = self.captured.failures, self.captured.closure, self.captured.volume
        if self._settings.databases or set(failures) != {"blobs"} or not (found and found.present and volume):
            return None
        if volume.kind != "live":
            return None
        hint = "run it when less is pushed, or where volume in [blobs] can be other than live"
        return Spoilt("images were pushed while links and blobs were read", hint, failures["blobs"].message)

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
                raise postgres_programs.dump_failure(error) from None

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
        found, warnings = harbor_facts.with_evidence(held, lambda: evidence.gather(held, patterns))
        self.captured.warnings += warnings
        self.captured.evidence.append(replace(found, dumped_by=dumping.major))

    def _digests(self, held: Sequence[Held]) -> None:
        """List what must be there: in the database's own order, so that nothing is sorted here."""
        listed = self._directory / digests.FILE_NAME
        try:
            with contextlib.ExitStack() as stack:
                sessions = [stack.enter_context(database.shared_session(one)) for one in held]
                streams = [tables.digests(session) for session in sessions if tables.is_harbor(session)]
                self.captured.digest_count = digests.write(listed, digests.merged(streams))
                images = [tables.artifacts(session) for session in sessions if tables.is_harbor(session)]
                digests.write(self._directory / ARTIFACTS, digests.merged(images))
            self._listed.set_result(listed)
        except BaseException as error:
            self._listed.set_exception(error)
            raise
        if held:
            self._save_digests(listed)

    def _save_digests(self, listed: Path) -> None:
        with self._part("digests", "digests", digests.FILE_NAME) as keep:
            tags = self._tags("digests", "digests")
            pieces = digests.pieces(listed)
            keep(self._repository.save_stream(pieces, digests.FILE_NAME, tags, self._host))

    def _manifests(self, source: config.FilesystemBlobs) -> None:
        """Prove the manifests while the blobs are stored, for the first time takes a while.

        Whoever waits for the outcome meets what went wrong.
        """
        try:
            self._proved.set_result(self._prove_manifests(source, self._listed.result()))
        except BaseException as error:
            self._proved.set_exception(error)
            if not isinstance(error, DrkitError):
                raise

    def _prove_manifests(self, source: config.FilesystemBlobs, listed: Path) -> ManifestProof:
        memory = State(self._settings.site.state).manifests
        return prove_manifests(source.path.resolve(), self._directory, listed, memory)

    def _blobs(self, source: config.FilesystemBlobs | config.BucketBlobs, *, close: bool) -> None:
        match source:
            case config.FilesystemBlobs():
                self._directory_of_blobs(source, close=close)
            case config.BucketBlobs():
                self._bucket_of_blobs(source, close=close)
            case _:
                assert_never(source)

    def _bucket_of_blobs(self, source: config.BucketBlobs, *, close: bool) -> None:
        """Copy what the vault lacks; then compare what it has with what the databases refer to."""
        vault = self._settings.vault
        assert vault is not None  # the configuration has been checked

        def save(pieces: Iterable[bytes], name: str, kind: PartKind) -> Saved:
            return self._repository.save_stream(pieces, name, self._tags(kind, kind), self._host)

        self._vault_work.begin()
        with bucket_ends.opened(source, vault) as ends:
            locking = locking_of(ends.vault, self._settings, utc_now())
            state = State(self._settings.site.state)
            doubts = Doubts(state.copying)
            if wrong := doubts.settle(ends.vault, ends.vault_place):
                self.captured.warnings.append(
                    f"{wrong} blobs that a killed run had copied wrongly were removed from the vault again"
                )
            run = Surroundings(
                self._directory,
                state.manifests,
                self._part,
                save,
                self._repository,
                self._before,
                self._listener,
                doubts,
            )
            point = BucketPoint(ends, locking, run, links_count=not self._settings.databases)
            point.capture()
            self.captured.bucket = point.summary
            self.captured.warnings += point.warnings
            if not close:
                return
            listed = self._listed.result()
            if not self._settings.databases:
                self.captured.digest_count = point.list_links(listed)
                self._save_digests(listed)
            self._keep(point.prove(listed))

    def _directory_of_blobs(self, source: config.FilesystemBlobs, *, close: bool) -> None:
        for last in (False, False, True):
            saved = self._store_blobs(source)
            if not close:
                return
            listed = self._listed.result()
            try:
                self._close(source, saved, listed)
            except SourceChanged:
                if last:
                    raise
                # A link was read while it was written. The next attempt reads that again, and what is new.
                self._take_back(saved.snapshot)
            else:
                return

    def _store_blobs(self, source: config.FilesystemBlobs) -> Saved:
        """Store the blobs as a part of this point."""
        root = source.path.resolve()
        with self._part("blobs", "blobs", str(root)) as keep:
            tags = self._tags("blobs", "blobs")
            name = freeze.prefix(self._host) + self._directory.name
            place = freeze.Place(State(self._settings.site.state).volumes, name)
            saved, view = blobs.capture(source, self._repository, tags, self._host, self._listener, place)
            self.captured.volume = Volume(view.kind, view.why, view.seconds)
            known = self.captured.warnings
            self.captured.warnings += [warning for warning in view.warnings if warning not in known]
            keep(saved)
        return saved

    def _take_back(self, snapshot: str) -> None:
        """A part that is worth nothing: forgotten, so that the point has only one of its kind."""
        (part,) = (part for part in self.captured.parts if part.snapshot == snapshot)
        # In place: other threads add theirs meanwhile.
        self.captured.parts.remove(part)
        self._repository.forget([snapshot])

    def _close(self, source: config.FilesystemBlobs, saved: Saved, listed: Path) -> None:
        """Compare what was captured with what the databases refer to.

        Raises SourceChanged where a link was caught while it was being written, ToolFailed where the capture
        lacks what production has.
        """
        self._listener(Update("closure"))
        prover = Prover(self._repository, source.path.resolve(), saved, self._directory)
        proved = self._proved.result
        if not self._settings.databases:
            self.captured.digest_count = prover.list_links(listed)
            self._save_digests(listed)
            proved = partial(self._prove_manifests, source, listed)
        proof = prover.prove(listed, proved)
        self._listener(Update("closure", finished=True))
        self._keep(proof)

    def _keep(self, proof: Proof) -> None:
        """Remember what was proved; raises ToolFailed where the capture lacks what production has."""
        self.captured.closure = proof.closure
        self.captured.gone = proof.gone
        self.captured.warnings += proof.warnings
        proof.raise_if_torn()

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
    def _part(self, kind: PartKind, name: str, path: str) -> Iterator[Keep]:
        """Times a capture, and records it as a part once `keep` is told what was saved."""
        started = time.monotonic()
        where = path if path.startswith("/") else f"/{path}"

        def keep(saved: Saved, in_vault: InVault | None = None) -> None:
            took = round(time.monotonic() - started, 3)
            part = Part(kind, name, saved.snapshot, where, saved.bytes, saved.added_bytes, took)
            if in_vault is not None:
                added = saved.added_bytes + in_vault.added
                part = replace(part, bytes=in_vault.bytes, added_bytes=added, snapshot_bytes=saved.bytes)
            self.captured.parts.append(part)

        yield keep

    @property
    def _host(self) -> str:
        return self._settings.site.name


def _failures(outcomes: Mapping[str, object]) -> dict[str, DrkitError]:
    """What failed for a reason of its own: blobs that wait for the digests in vain have none."""
    failed = {name: error for name, error in outcomes.items() if isinstance(error, DrkitError)}
    return {n: e for n, e in failed.items() if n == "digests" or e is not failed.get("digests")}


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
