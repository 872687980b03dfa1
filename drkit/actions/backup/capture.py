"""Capturing all sources of a site at once, under one recovery point's id."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drkit import config
from drkit.actions.backup.context import Context
from drkit.actions.backup.draft import Draft
from drkit.actions.backup.gc_watch import GarbageCollectionWatch
from drkit.actions.backup.images import Images, Wanted
from drkit.actions.backup.layouts import Layouts
from drkit.actions.backup.lists import Lists
from drkit.actions.backup.task import Task
from drkit.actions.needed_digests import list_needed
from drkit.checks import keys, pairs
from drkit.database import evidence, harbor_facts, locked
from drkit.database.clients import Dumper, dumper
from drkit.database.locked import LockedDatabase
from drkit.errors import DatabaseBusy, Disturbance, DrkitError, SourceChanged, ToolFailed
from drkit.harbor import tables, wording
from drkit.model import utc_now
from drkit.secrets import capture, fingerprints
from drkit.tools.parallel import Tasks, side_by_side
from drkit.tools.postgres import programs
from drkit.tools.process import execute
from drkit.tools.restic import integrity


@dataclass(frozen=True)
class RetryReason:
    """Why an attempt came to nothing although the next may not; `why` goes on "during each of 3 attempts"."""

    disturbance: Disturbance
    why: str
    hint: str
    cause: str = ""


_COLLECTED = RetryReason(
    Disturbance.GARBAGE_COLLECTION,
    "a garbage collection ran",
    "schedule the backup away from Harbor's garbage collection",
)


class Capture:
    """The capture of all sources of a site; what it gives stands in the draft."""

    def __init__(self, context: Context, draft: Draft) -> None:
        self._context = context
        self._draft = draft
        self._settings = context.settings
        self._images = Images(context, draft)

    def run(self) -> RetryReason | None:
        """Capture everything; says why, if it must be done again."""
        watch = GarbageCollectionWatch(self._settings)
        watch.wait(self._context.listener)
        with contextlib.ExitStack() as stack:
            held = self._hold_databases(stack)
            dumpers = {each.name: stack.enter_context(self._dumper(each)) for each in held}
            watch.mark(held)
            moments = [each.consistent_at for each in held]
            # Each database has an instant of its own; the point is as old as the oldest of them.
            self._draft.consistent_at = min(moments) if moments else utc_now()
            # The databases that know which images there are.
            harbor = tuple(each for each in held if tables.is_harbor(each.session))
            with side_by_side() as tasks:
                tasks.begin(Task("repository"), self._refuse_damaged)
                for each in held:
                    self._begin_database(tasks, each, dumpers[each.name])
                if harbor:
                    tasks.begin(Task("lists"), lambda: Lists(self._draft).take(harbor))
                if self._settings.blobs:
                    self._begin_images(tasks, self._settings.blobs, held, harbor)
                if self._settings.secrets.paths:
                    tasks.begin(Task("secrets"), self._secrets)
            self._draft.failures |= own_failures(tasks.outcomes)
            if watch.collected(held, self._draft.gone):
                return _COLLECTED
            return disturbed(self._draft.failures) or self._outrun(harbor)

    def _refuse_damaged(self) -> None:
        """Whatever the new snapshots will share with older ones must be there, and not in the cache alone.

        Raises ToolFailed.
        """
        if faults := integrity.pack_faults(self._context.repository.access):
            raise ToolFailed(
                f"{len(faults)} pack files that its index names are missing or have another size:"
                f" {'; '.join(faults[:3])}",
                hint="`drkit verify` says what is damaged; after `restic repair index` the next backup stores"
                " again what production still has",
            )

    def _begin_images(
        self,
        tasks: Tasks[Task],
        source: config.FilesystemBlobs | config.LayoutBlobs | config.BucketBlobs,
        held: Sequence[LockedDatabase],
        harbor: Sequence[LockedDatabase],
    ) -> None:
        """Blobs, the digests that must be among them, and what the manifests say of that."""
        if isinstance(source, config.LayoutBlobs):
            # No database knows of them: their own indexes say which images there must be.
            tasks.begin(Task("blobs"), lambda: Layouts(self._context, self._draft).take(source))
            return
        if len(held) < len(self._settings.databases):
            # Without every database nobody knows which digests must be there, so nothing is compared.
            tasks.begin(Task("blobs"), lambda: self._images.take(source, None))
            return
        if held and not harbor:
            names = ", ".join(each.name for each in held)
            self._draft.warnings.append(
                f"database {names} has no tables of Harbor's: which images must be there was read from the "
                "registry's own links"
            )
        listed = tasks.begin(Task("digests"), lambda: self._list_digests(harbor))
        surveyed = None
        if harbor and isinstance(source, config.FilesystemBlobs):
            surveyed = tasks.begin(Task("manifests"), lambda: self._images.survey(source, listed))
        wanted = Wanted(listed, surveyed, by_links=not harbor)
        tasks.begin(Task("blobs"), lambda: self._images.take(source, wanted))

    def _outrun(self, harbor: Sequence[LockedDatabase]) -> RetryReason | None:
        """Whether nothing is wrong but that links were read whose blobs were pushed after blobs were read.

        That can be where a registry without Harbor's database is read live: restic reads a directory's names
        in order, `blobs` before `repositories`. Without pushes in between, every link's blob is there. The
        next attempt holds the links, see held_links.
        """
        failures, found, volume = self._draft.failures, self._draft.closure, self._draft.volume
        blobs = Task("blobs")
        if harbor or set(failures) != {blobs} or not (found and found.present and volume):
            return None
        if volume.kind != "live":
            return None
        hint = "run it as root, when less is pushed, or where volume in [blobs] can be other than live"
        return RetryReason(
            Disturbance.PUSHES,
            "images were pushed while links and blobs were read",
            hint,
            failures[blobs].message,
        )

    def _hold_databases(self, stack: contextlib.ExitStack) -> tuple[LockedDatabase, ...]:
        held = []
        for entry in self._settings.databases:
            try:
                found = stack.enter_context(locked.hold(entry))
                _refuse_nothing(found)
                held.append(found)
            except DrkitError as error:
                self._draft.failures[Task("database", entry.name)] = error
        return tuple(held)

    def _dumper(self, held: LockedDatabase) -> contextlib.AbstractContextManager[Dumper]:
        entry = next(entry for entry in self._settings.databases if entry.name == held.name)
        return dumper(entry, held.target, held.major, self._draft.directory)

    def _begin_database(self, tasks: Tasks[Task], held: LockedDatabase, dumping: Dumper) -> None:
        if dumping.caveat:
            self._draft.warnings.append(f"database {held.name}: {dumping.caveat}")
        tasks.begin(Task("database", held.name), lambda: self._dump(held, dumping))
        tasks.begin(Task("roles", held.name), lambda: self._roles(held, dumping))
        tasks.begin(Task("evidence", held.name), lambda: self._evidence(held, dumping))

    def _dump(self, held: LockedDatabase, dumping: Dumper) -> None:
        context, name = self._context, f"{held.name}.dump"
        part = self._draft.begin("database", held.name, name)
        tags = context.tags(self._draft.point, "database", held.name)
        with dumping.dump(held.snapshot, held.encoding) as command:
            try:
                saved = context.repository.save_command(command, name, tags, context.host, context.listener)
            except ToolFailed as error:
                raise programs.dump_failure(error) from None
        part.store(saved)

    def _roles(self, held: LockedDatabase, dumping: Dumper) -> None:
        passwords = locked.can_read_passwords(held.session)
        if held.empty:
            names = ", ".join(".".join(name) for name in held.empty)
            self._draft.warnings.append(
                f"{held.name} is a standby, which lacks the content of unlogged tables: {names} will be empty"
            )
        if not passwords:
            self._draft.warnings.append(
                f"the passwords of the roles of {held.name} are not in this point: its user may not read them"
            )
        name, dump = f"{held.name}.roles.sql", dumping.dump_roles(passwords=passwords)
        part, written = self._draft.begin("roles", held.name, name), self._draft.directory / name
        written.touch(mode=0o600)
        with dump as command, written.open("wb") as file:
            execute.check_into(command, file)
        part.seal(written)

    def _evidence(self, held: LockedDatabase, dumping: Dumper) -> None:
        patterns = next(d.count_only for d in self._settings.databases if d.name == held.name)
        for pattern in evidence.idle_patterns(held.tables, patterns):
            self._draft.warnings.append(f'count_only of {held.name}: "{pattern}" names no table')
        found, warnings = harbor_facts.with_evidence(held, lambda: evidence.gather(held, patterns))
        self._draft.warnings += warnings
        if found.schema_fault is not None:
            said = wording.schema_fault(found.schema_fault, found.harbor_schema)
            self._draft.warnings.append(f"database {held.name}: {said}")
        self._draft.evidence.append(replace(found, dumped_by=dumping.major))

    def _list_digests(self, harbor: Sequence[LockedDatabase]) -> Path:
        found = list_needed(harbor, self._draft.directory)
        self._draft.digest_count = found.count
        if harbor:
            self._images.keep_digests(found.file)
        return found.file

    def _secrets(self) -> None:
        draft, source = self._draft, self._settings.secrets
        part = draft.begin("secrets", "secrets", capture.FILE_NAME)
        gathered, key = capture.gather(source), fingerprints.load(self._context.state)
        written = draft.directory / capture.FILE_NAME
        written.write_bytes(capture.seal(gathered.members, source.recipients, key))
        draft.members = gathered.members
        draft.warnings += gathered.warnings
        draft.secret_files = capture.listing(gathered.members, key)
        draft.certificates = capture.certificate_facts(gathered.members)
        draft.fingerprint_key = key.id
        draft.key_faults = pairs.faults(keys.contents(gathered.members))
        part.seal(written)


def _refuse_nothing(held: LockedDatabase) -> None:
    """A dump of an empty database restores perfectly, and is worth nothing: it is the wrong one."""
    if not held.tables:
        raise ToolFailed(
            f"{held.target.where} has no table at all",
            hint=locked.WRONG_ONE,
        )


def own_failures(outcomes: Mapping[Task, object]) -> dict[Task, DrkitError]:
    """What failed for a reason of its own: who waited for another in vain has that one's error, and none."""
    failed = [(task, error) for task, error in outcomes.items() if isinstance(error, DrkitError)]
    first = {id(error): task for task, error in reversed(failed)}
    return {task: error for task, error in failed if first[id(error)] == task}


def disturbed(failures: Mapping[Task, DrkitError]) -> RetryReason | None:
    """Whether nothing is wrong but that somebody locked or changed tables while they were read."""
    passing = all(isinstance(error, DatabaseBusy | SourceChanged) for error in failures.values())
    if not failures or not passing or not all(task.of_databases for task in failures):
        return None
    task, error = min(failures.items(), key=lambda item: item[0])
    return RetryReason(
        Disturbance.TABLES_IN_USE,
        "tables were locked or changed",
        error.hint or "a migration is under way: run the backup when it has ended",
        f"{task}: {error.message}",
    )
