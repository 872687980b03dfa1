"""Capturing all sources of a site at once, under one recovery point's id."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial

from drkit import config
from drkit.errors import DatabaseBusy, DrkitError, SourceChanged, ToolFailed
from drkit.harbor import tables
from drkit.model import utc_now
from drkit.sources import database, digests, evidence, fingerprints, harbor_facts, secrets
from drkit.sources.clients import Dumper, dumper
from drkit.sources.closure import ARTIFACTS
from drkit.sources.collection import Watch
from drkit.sources.database import Held
from drkit.sources.images import Images
from drkit.sources.record import Captured, Record
from drkit.sources.vault.work import VaultWork
from drkit.tools import postgres_programs
from drkit.tools.parallel import together


@dataclass(frozen=True)
class Spoilt:
    """Why an attempt came to nothing although the next may not; `why` goes on "during each of 3 attempts"."""

    why: str
    hint: str
    cause: str = ""


_COLLECTED = Spoilt("a garbage collection ran", "schedule the backup away from Harbor's garbage collection")


class Capture:
    """The capture of all sources of a site; what it gives stands in the `record`.

    `remarks` says what there is to warn of in the secrets that were captured.
    """

    def __init__(
        self,
        record: Record,
        vault_work: VaultWork | None = None,
        remarks: Callable[[Captured], Iterable[str]] = lambda _captured: (),
    ) -> None:
        self.record = record
        self.captured = record.captured
        self._settings = record.settings
        self._remarks = remarks
        self._images = Images(record, vault_work or VaultWork(record.settings))
        # The databases that know which images there are.
        self._harbor: tuple[Held, ...] = ()

    def run(self) -> Spoilt | None:
        """Capture everything; says why, if it must be done again."""
        settings = self._settings
        watch = Watch(settings)
        watch.wait(self.record.listener)
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
            self._harbor = tuple(h for h in held if tables.is_harbor(h.session))
            by_links = not self._harbor
            if settings.blobs:
                work["blobs"] = partial(self._images.take, settings.blobs, close=known, by_links=by_links)
            if settings.blobs and known:
                work["digests"] = self._digests
                self._say_who_knows(held)
            if isinstance(settings.blobs, config.FilesystemBlobs) and known and not by_links:
                work["manifests"] = partial(self._images.manifests, settings.blobs)
            if settings.secrets.paths:
                work["secrets"] = self._secrets
            outcomes = together(work)
            self.captured.failures |= _failures(outcomes)
            if watch.collected(held, self.captured.gone):
                return _COLLECTED
            return _disturbed(self.captured.failures, set(work) - {"blobs", "secrets"}) or self._outrun()

    def _say_who_knows(self, held: Sequence[Held]) -> None:
        if held and not self._harbor:
            names = ", ".join(h.name for h in held)
            self.captured.warnings.append(
                f"database {names} has no tables of Harbor's: which images must be there was read from the "
                "registry's own links"
            )

    def _outrun(self) -> Spoilt | None:
        """Whether nothing is wrong but that links were read whose blobs were pushed after blobs were read.

        That can be where a registry without Harbor's database is read live: restic reads a directory's names
        in order, `blobs` before `repositories`. Without pushes in between, every link's blob is there.
        """
        failures, found, volume = self.captured.failures, self.captured.closure, self.captured.volume
        if self._harbor or set(failures) != {"blobs"} or not (found and found.present and volume):
            return None
        if volume.kind != "live":
            return None
        hint = "run it when less is pushed, or where volume in [blobs] can be other than live"
        return Spoilt("images were pushed while links and blobs were read", hint, failures["blobs"].message)

    def _hold_databases(self, stack: contextlib.ExitStack) -> tuple[Held, ...]:
        held = []
        for entry in self._settings.databases:
            try:
                found = stack.enter_context(database.hold(entry))
                _refuse_nothing(found)
                held.append(found)
            except DrkitError as error:
                self.captured.failures[f"database {entry.name}"] = error
        return tuple(held)

    def _dumper(self, held: Held) -> contextlib.AbstractContextManager[Dumper]:
        entry = next(entry for entry in self._settings.databases if entry.name == held.name)
        return dumper(entry, held.target, held.major, self.record.directory)

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
        with self.record.part("database", held.name, name) as keep, dumping.dump(held.snapshot) as command:
            tags = self.record.tags("database", held.name)
            try:
                keep(
                    self.record.repository.save_command(
                        command, name, tags, self.record.host, self.record.listener
                    )
                )
            except ToolFailed as error:
                raise postgres_programs.dump_failure(error) from None

    def _roles(self, held: Held, dumping: Dumper) -> None:
        passwords = database.can_read_passwords(held.session)
        if not passwords:
            self.captured.warnings.append(
                f"the passwords of the roles of {held.name} are not in this point: its user may not read them"
            )
        name, dump = f"{held.name}.roles.sql", dumping.dump_roles(passwords=passwords)
        with self.record.part("roles", held.name, name) as keep, dump as command:
            keep(
                self.record.repository.save_command(
                    command, name, self.record.tags("roles", held.name), self.record.host
                )
            )

    def _evidence(self, held: Held, dumping: Dumper) -> None:
        patterns = next(d.count_only for d in self._settings.databases if d.name == held.name)
        for pattern in evidence.idle_patterns(held.tables, patterns):
            self.captured.warnings.append(f'count_only of {held.name}: "{pattern}" names no table')
        found, warnings = harbor_facts.with_evidence(held, lambda: evidence.gather(held, patterns))
        self.captured.warnings += warnings
        self.captured.evidence.append(replace(found, dumped_by=dumping.major))

    def _digests(self) -> None:
        """List what must be there: in the database's own order, so that nothing is sorted here."""
        listed = self.record.directory / digests.FILE_NAME
        try:
            with contextlib.ExitStack() as stack:
                sessions = [stack.enter_context(database.shared_session(one)) for one in self._harbor]
                streams = [tables.digests(session) for session in sessions]
                self.captured.digest_count = digests.write(listed, digests.merged(streams))
                images = [tables.artifacts(session) for session in sessions]
                digests.write(self.record.directory / ARTIFACTS, digests.merged(images))
            self._images.listed.set_result(listed)
        except BaseException as error:
            self._images.listed.set_exception(error)
            raise
        if self._harbor:
            self.record.save_digests(listed)

    def _secrets(self) -> None:
        source = self._settings.secrets
        with self.record.part("secrets", "secrets", secrets.FILE_NAME) as keep:
            gathered, key = secrets.gather(source), fingerprints.load(self.record.state)
            sealed = secrets.seal(gathered.members, source.recipients, key)
            self.captured.members = gathered.members
            self.captured.warnings += gathered.warnings
            self.captured.secret_files = secrets.listing(gathered.members, key)
            self.captured.certificates = secrets.certificate_facts(gathered.members)
            self.captured.fingerprint_key = key.id
            tags = self.record.tags("secrets", "secrets")
            keep(self.record.repository.save_stream([sealed], secrets.FILE_NAME, tags, self.record.host))
        self.captured.warnings += self._remarks(self.captured)


def _refuse_nothing(held: Held) -> None:
    """A dump of an empty database restores perfectly, and is worth nothing: it is the wrong one."""
    if not held.tables:
        raise ToolFailed(
            f"{held.target.where} has no table at all",
            hint=database.WRONG_ONE,
        )


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
