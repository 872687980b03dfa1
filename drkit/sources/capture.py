"""Capturing all sources of a site at once, under one recovery point's id."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from drkit import config
from drkit.errors import DrkitError
from drkit.harbor import tables
from drkit.model import Closure, DatabaseEvidence, Part, PartKind, SecretFile, utc_now
from drkit.progress import Listener, Update
from drkit.sources import blobs, database, digests, secrets
from drkit.sources.closure import ARTIFACTS, Prover
from drkit.sources.collection import Watch
from drkit.sources.database import Held
from drkit.state import State
from drkit.tools import postgres
from drkit.tools.parallel import together
from drkit.tools.restic import Repository
from drkit.tools.restic_output import Saved

Tagger = Callable[[PartKind, str], tuple[str, ...]]


@dataclass
class Captured:
    """What the sources of one attempt gave; filled by one thread an item, each its own field or key."""

    parts: list[Part] = field(default_factory=list)
    evidence: list[DatabaseEvidence] = field(default_factory=list)
    closure: Closure | None = None
    warnings: list[str] = field(default_factory=list)
    failures: dict[str, DrkitError] = field(default_factory=dict)
    secret_files: tuple[SecretFile, ...] = ()
    digest_count: int = 0
    consistent_at: datetime | None = None
    gone: tuple[str, ...] = ()


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
        self._listed: Future[Path] = Future()

    def run(self) -> bool:
        """Capture everything; True if a garbage collection ran meanwhile, so that it must be done again."""
        settings = self._settings
        watch = Watch(settings)
        watch.wait(self._listener)
        with contextlib.ExitStack() as stack:
            held = self._hold_databases(stack)
            programs = {h.name: postgres.dump_programs(h.major, postgres.installed()) for h in held}
            watch.mark(held)
            moments = [h.consistent_at for h in held]
            # Each database has an instant of its own; the point is as old as the oldest of them.
            self.captured.consistent_at = min(moments) if moments else utc_now()
            logins = {
                h.name: stack.enter_context(postgres.password_environment(h.target, self._directory))
                for h in held
            }
            work: dict[str, Callable[[], None]] = {}
            for one in held:
                work |= self._database_work(one, programs[one.name], logins[one.name])
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
            return watch.collected(held, self.captured.gone)

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

    def _database_work(
        self, held: Held, programs: postgres.Programs, login: Mapping[str, str]
    ) -> dict[str, Callable[[], None]]:
        return {
            f"database {held.name}": lambda: self._dump(held, programs, login),
            f"roles of {held.name}": lambda: self._roles(held, programs, login),
            f"evidence of {held.name}": lambda: self._evidence(held),
        }

    def _dump(self, held: Held, programs: postgres.Programs, login: Mapping[str, str]) -> None:
        command = postgres.dump(programs, held.target, held.snapshot, login)
        with self._part("database", held.name, f"{held.name}.dump") as keep:
            tags = self._tags("database", held.name)
            name = f"{held.name}.dump"
            keep(self._repository.save_command(command, name, tags, self._host, self._listener))

    def _roles(self, held: Held, programs: postgres.Programs, login: Mapping[str, str]) -> None:
        passwords = database.can_read_passwords(held.session)
        if not passwords:
            self.captured.warnings.append(
                f"the passwords of the roles of {held.name} are not in this point: its user may not read them"
            )
        command = postgres.dump_roles(programs, held.target, login, passwords=passwords)
        with self._part("roles", held.name, f"{held.name}.roles.sql") as keep:
            tags = self._tags("roles", held.name)
            keep(self._repository.save_command(command, f"{held.name}.roles.sql", tags, self._host))

    def _evidence(self, held: Held) -> None:
        self.captured.evidence.append(database.gather_evidence(held))

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

    def _blobs(self, *, close: bool) -> None:
        source = self._settings.blobs
        assert source is not None
        root = source.path.resolve()
        with self._part("blobs", "blobs", str(root)) as keep:
            tags = self._tags("blobs", "blobs")
            saved = blobs.capture(source, self._repository, tags, self._host, self._listener)
            keep(saved)
        if close:
            self._close(root, saved.snapshot)

    def _close(self, root: Path, snapshot: str) -> None:
        """Compare what was captured with what the databases refer to."""
        self._listener(Update("closure"))
        memory = State(self._settings.site.state).manifests
        prover = Prover(self._repository, root, snapshot, self._directory, memory)
        listed = self._listed.result()
        if not self._settings.databases:
            self.captured.digest_count = prover.list_links(listed)
            self._save_digests(listed)
        proof = prover.prove(listed)
        self.captured.closure = proof.closure
        self.captured.gone = proof.gone
        self.captured.warnings += proof.warnings
        self._listener(Update("closure", finished=True))
        proof.raise_if_torn()

    def _secrets(self) -> None:
        source = self._settings.secrets
        with self._part("secrets", "secrets", secrets.FILE_NAME) as keep:
            members = secrets.collect(source.paths)
            sealed = secrets.seal(members, source.recipients)
            self.captured.secret_files = secrets.listing(members)
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
