"""What doctor says of the sources on this machine: databases, and a registry's directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from drkit import config
from drkit.actions.doctor.finding import Finding, Verdict
from drkit.blobs.directory import capture
from drkit.blobs.layouts import capture as layout_capture
from drkit.database import clients, locked, restore_needs
from drkit.errors import ConfigError
from drkit.harbor import schema, tables, wording
from drkit.model import CLOCK_SKEW, utc_now
from drkit.sandbox import build
from drkit.state.directory import State, living_runs
from drkit.tools import docker
from drkit.tools.postgres import programs as postgres_programs
from drkit.tools.postgres import sessions
from drkit.tools.postgres.sessions import Session
from drkit.volumes import freeze
from drkit.volumes.choice import choose, stray


def look_at_database(settings: config.Config, entry: config.Database) -> Iterator[Finding]:
    """A database that is to be dumped: reachable, readable, with a pg_dump that fits."""
    name = f"database {entry.name}"
    target = locked.target_of(entry)
    with sessions.connect(target) as session:
        major = session.server_version // 10_000
        unreadable = session.rows(
            "SELECT n.nspname || '.' || c.relname FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            " AND NOT has_table_privilege(c.oid, 'SELECT') LIMIT 3"
        )
        harbor, fault = tables.is_harbor(session), schema.look(session)
        version = tables.schema_version(session) if fault else None
        passwords = locked.can_read_passwords(session)
        skew = _skew(session)
        client, programs, caveat = _dump_programs(entry, major)
        empty = not locked.list_tables(session)
        lacking = restore_needs.lacking_here(session)
    kind = "Harbor's tables" if harbor else "no tables of Harbor's"
    if empty:
        raise ConfigError(f"{target.where} has no table at all", hint=locked.WRONG_ONE)
    yield Finding(name, "ok", f"PostgreSQL {major} at {target.where}, pg_dump {programs}, {kind}")
    if settings.blobs and not harbor and len(settings.databases) == 1:
        yield Finding(
            f"images of {entry.name}",
            "warning",
            "only the registry's own links will say which images must be there, for it is not Harbor's",
            "see dbname in dsn, if this is Harbor",
        )
    if caveat:
        yield Finding(f"pg_dump for {entry.name}", "warning", caveat, f"install postgresql-client-{major}")
    if unreadable:
        some = ", ".join(row[0] for row in unreadable)
        raise ConfigError(
            f"the user of {target.where} may not read {some}",
            hint="use the owner of the tables, or a superuser",
        )
    if not passwords:
        yield Finding(
            f"roles of {entry.name}",
            "warning",
            "the user may not read the roles' passwords: they will not be in the backup",
            "use a superuser, or write the passwords down elsewhere",
        )
    if lacking:
        yield Finding(
            f"restore of {entry.name}",
            "warning",
            f"it would fail with this user: {'; '.join(lack.said for lack in lacking)}",
            f"{'; '.join(dict.fromkeys(lack.remedy for lack in lacking))}; or restore with --database-dsn and"
            " another login",
        )
    if fault:
        said = f"{target.where}: {wording.schema_fault(fault, version)}"
        yield Finding(f"schema of {entry.name}", "problem", said, wording.schema_hint(fault))
    if abs(skew) > CLOCK_SKEW:
        yield Finding("clock", "warning", f"{skew} apart from the database's", "synchronise both clocks")
    if settings.objectives.drill or settings.schedule.drill:
        build.look(max(major, client), settings.drill.database_image)


def _dump_programs(entry: config.Database, major: int) -> tuple[int, str, str]:
    """The pg_dump that will dump this database: its major version, which one it is, what follows from it."""
    if entry.container is not None:
        clients.programs_in(docker.find(entry.container), major)
        return major, f"{major} of the container {entry.container}", ""
    found = postgres_programs.dump_programs(major, postgres_programs.installed()).major
    return found, str(found), clients.newer_client(major, found) if found > major else ""


def _skew(session: Session) -> timedelta:
    there: datetime = session.value("SELECT clock_timestamp()")
    return there.astimezone(UTC) - utc_now()


def look_at_blobs(settings: config.Config) -> Iterator[Finding]:
    """A registry's directory, and how it will be read."""
    assert isinstance(settings.blobs, config.DirectoryBlobs)
    if isinstance(settings.blobs, config.LayoutBlobs):
        layout_capture.look(settings.blobs)
    else:
        assert isinstance(settings.blobs, config.FilesystemBlobs)
        capture.look(settings.blobs)
    path = settings.blobs.path
    if not os.access(path, os.R_OK | os.X_OK):
        raise ConfigError(f"drkit may not read {path}", hint="run it as root or as the registry's user")
    place = freeze.Place(State(settings.site.state).volumes, freeze.prefix(settings.site.name) + "doctor")
    place.top.mkdir(mode=0o700, parents=True, exist_ok=True)
    chosen = choose(path.resolve(), settings.blobs.volume, place.name, place.top)
    how = (
        "read while the registry runs" if chosen.volume is None else f"frozen by {chosen.kind} and then read"
    )
    state: Verdict = "warning" if chosen.regret else "ok"
    yield Finding("blobs", state, f"{path}, {how} (volume: {chosen.kind}): {chosen.why}", chosen.hint)
    yield from _volumes(settings, path.resolve(), place, looked=not chosen.regret)


def _volumes(settings: config.Config, path: Path, place: freeze.Place, *, looked: bool) -> Iterator[Finding]:
    """Volume snapshots that no living run has made."""
    state = State(settings.site.state)
    prefix = freeze.prefix(settings.site.name)
    living = {f"{prefix}{run}" for run in living_runs(state.runs)}
    recorded = {record.stem for record in freeze.records(place.directory)} - living
    found = stray(path, prefix, place.top) if looked and os.geteuid() == 0 else ()
    unknown = [name for name in found if not any(one in name for one in living | recorded)]
    if recorded:
        names = ", ".join(sorted(recorded))
        said = f"a killed run has left {len(recorded)}: {names}"
        yield Finding("volume snapshots", "warning", said, "the next `drkit backup` removes it")
    if unknown:
        said = f"{len(unknown)} that no record of this machine tells of: {', '.join(unknown)}"
        yield Finding("volume snapshots", "warning", said, "remove them by hand if no other drkit uses them")
