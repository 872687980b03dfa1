"""A database comes back: beside its place and then in it by renaming, or in an empty one that is there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from drkit import config
from drkit.actions.restore.plan import RestorePlan, RestoreStep, database_entry, database_target
from drkit.actions.restore.server import role_remarks
from drkit.actions.restore.way_back import of_database
from drkit.database import clients, swap
from drkit.database import evidence as evidences
from drkit.database import load as database_restore
from drkit.database.clients import Loader
from drkit.database.roles import RolesMade
from drkit.errors import DrkitError, Failure, RestoreDamaged
from drkit.files import plain_file
from drkit.model import DatabaseEvidence
from drkit.points.seal_files import SealFiles
from drkit.progress import Listener
from drkit.stopwatch import Stopwatch
from drkit.tools.postgres import sessions
from drkit.tools.postgres.targets import Target
from drkit.tools.restic.repository import Repository


@dataclass(frozen=True)
class RestoredDatabase:
    """What a restored database was verified by, and what there is to tell of it.

    `open_roles` log in and have no password.
    """

    verified: str
    set_aside: tuple[str, ...]
    warnings: tuple[str, ...]
    open_roles: tuple[str, ...]
    way_back: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Files:
    """What came out of the repository: the dump, and the roles as SQL."""

    archive: Path
    roles: str


@dataclass(frozen=True)
class DatabaseRestore:
    """Restores one database of a plan."""

    settings: config.Config
    repository: Repository
    files: SealFiles
    plan: RestorePlan
    directory: Path
    stopwatch: Stopwatch
    listener: Listener

    def run(self, step: RestoreStep) -> RestoredDatabase:
        """Do what the plan says of this database; raises RestoreDamaged, ToolFailed."""
        evidence = next(e for e in self.plan.manifest.databases if e.name == step.name)
        target = database_target(self.settings, evidence, self.plan.options)
        server = swap.maintenance(target)
        entry = database_entry(self.settings, evidence, self.plan.options)
        with sessions.connect(server) as session:
            major = session.server_version // 10_000
        scratch = self.directory / f"dump-{step.name}"
        scratch.mkdir()
        with (
            self.stopwatch.stage(f"restore {step.what}"),
            clients.loader(entry, target, evidence.archive_major, major, scratch) as load,
        ):
            files = self._fetch(step.name, scratch)
            with self.stopwatch.stage(f"load and compare {step.name}"):
                if step.in_place:
                    made = _fill(target, evidence, files, load)
                else:
                    made = _beside(server, target, evidence, files, load)
            aside, warnings = None, list[str]()
            if not step.in_place:
                aside, warnings = _put_in_place(server, target, self.plan.point)
            # From here on it is back, whatever else may fail.
            warnings += _settle(target, evidence)
        return RestoredDatabase(
            evidences.what_agreed(evidence),
            (f"database {aside}",) if aside else (),
            (*warnings, *role_remarks(made, "were made")),
            made.without_password,
            (of_database(target, aside, self.plan.point),) if aside else (),
        )

    def _fetch(self, name: str, scratch: Path) -> _Files:
        dump = self.plan.manifest.need("database", name)
        stage = f"fetch the dump of {name}"
        self.repository.restore(dump.snapshot, scratch, listener=self.listener, stage=stage)
        roles = self.files.data("roles", name).decode()
        return _Files(plain_file(scratch, dump.path), roles)


def _fill(target: Target, evidence: DatabaseEvidence, files: _Files, load: Loader) -> RolesMade:
    made = database_restore.fill(target, evidence, files.archive, files.roles, load)
    _verify(target, evidence, "; what was loaded is left there")
    return made


def _beside(
    server: Target, target: Target, evidence: DatabaseEvidence, files: _Files, load: Loader
) -> RolesMade:
    """The database under another name, compared with what was dumped; nothing is left of one that is not."""
    beside = target.with_database(swap.beside(target.database))
    swap.drop(server, beside.database)
    try:
        made = database_restore.bring_back(
            server, beside.database, evidence, files.archive, files.roles, load
        )
        _verify(beside, evidence)
    except BaseException:
        with suppress(DrkitError):
            swap.drop(server, beside.database)
        raise
    return made


def _verify(target: Target, evidence: DatabaseEvidence, left: str = "") -> None:
    faults = evidences.differences(target, evidence)
    if faults:
        raise RestoreDamaged(
            f"the restored database is not what was dumped: {faults[0]}{left}", hint="use another point"
        )


def _settle(target: Target, evidence: DatabaseEvidence) -> list[str]:
    """Gather statistics in a database that is in place; returns what there is to warn of."""
    try:
        with sessions.connect(target) as session:
            # A dump carries no statistics: without them the first queries crawl.
            session.execute("ANALYZE")
            lacking = database_restore.missing_tablespaces(session, evidence)
    except Failure as error:
        return [f"{target.where} is back, but has no statistics; run ANALYZE: {error.message}"]
    said = f"this server has no tablespace {', '.join(lacking)}: everything is in the database's own"
    return [said] if lacking else []


def _put_in_place(server: Target, target: Target, point: str) -> tuple[str | None, list[str]]:
    with sessions.connect(server) as session:
        connected = swap.connected(session, target.database)
        before = swap.taken_names(session, target.database, point)
    aside = swap.swap(server, swap.beside(target.database), target.database, point)
    said = [f"sessions were ended: {'; '.join(one.said for one in connected)}"] if connected else []
    # One that was killed could tell nobody.
    said += [f"set aside by an earlier restore of this point: database {name}" for name in before]
    return aside, said
