"""PostgreSQL's own programs, found by major version, and the commands that are made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drkit.errors import DatabaseBusy, SourceChanged, ToolFailed, ToolMissing, ToolTooOld
from drkit.tools.postgres import sessions
from drkit.tools.postgres.targets import Target
from drkit.tools.process.command import Command, Completed, failure

# Where distributions put several majors side by side: Debian and Ubuntu, then the PostgreSQL project's RPMs.
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")
# How pg_dump says that a lock was not to be had, or that something vanished while it looked.
_WAITED = re.compile(r"due to (?:lock|statement) timeout")
_VANISHED = re.compile(
    r"(?:relation|type|function|schema) .*does not exist|cache lookup failed|could not open relation"
)


@dataclass(frozen=True)
class Programs:
    """The directory of one major version's programs.

    `prefix` stands before each where they run in another place than here, such as a container.
    """

    major: int
    directory: Path
    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Command:
        """`pg_dump`, `pg_restore`, ... with arguments; raises ToolMissing."""
        words = (*self.prefix, self.program(name), *arguments)
        return Command(words, {**self.environment, **environment}, called=name)

    def program(self, name: str) -> str:
        """The path of `pg_dump`, `initdb`, ...; raises ToolMissing."""
        path = self.directory / name
        if not self.prefix and not path.is_file():
            raise ToolMissing(
                f"{name} of PostgreSQL {self.major} is not installed",
                hint=f"install the package postgresql-{self.major}",
            )
        return str(path)


def installed(places: Sequence[str] = _PLACES) -> dict[int, Programs]:
    """Major -> programs, for all majors on this machine."""
    found = {}
    for place in places:
        for directory in Path("/").glob(place.lstrip("/")):
            major = re.search(r"[/-](\d+)/bin$", str(directory))
            if major and (directory / "pg_dump").is_file():
                found[int(major[1])] = Programs(int(major[1]), directory)
    return found


def dump_programs(server_major: int, available: Mapping[int, Programs]) -> Programs:
    """The programs to dump a server with: its own major, else the nearest newer.

    Raises ToolTooOld or ToolMissing.
    """
    if not available:
        raise ToolMissing("pg_dump is not installed", hint=f"install postgresql-client-{server_major}")
    fitting = [major for major in sorted(available) if major >= server_major]
    if not fitting:
        raise ToolTooOld(
            f"pg_dump {max(available)} is older than the server, which is PostgreSQL {server_major}",
            hint=f"install postgresql-client-{server_major}",
        )
    return available[fitting[0]]


def restore_programs(archive: int, server: int, available: Mapping[int, Programs]) -> Programs:
    """The programs to restore a dump with: they read it, and say nothing that the server does not know.

    `archive` is the major version of the pg_dump that wrote it. An older pg_restore refuses a newer dump, and
    a newer pg_restore sets parameters that an older server has not heard of (transaction_timeout, from 17).
    Raises ToolTooOld where the server is older than the dump, ToolMissing.
    """
    if server < archive:
        raise ToolTooOld(
            f"the server is PostgreSQL {server}, the dump is of PostgreSQL {archive}",
            hint="restore to a server at least as new",
        )
    fitting = [major for major in sorted(available) if archive <= major <= server]
    if not fitting:
        have = ", ".join(map(str, sorted(available))) or "none"
        versions = str(server) if server == archive else f"{archive} to {server}"
        raise ToolMissing(
            f"restoring a dump of PostgreSQL {archive} to a server of {server} needs pg_restore of {versions}"
            f" (there is: {have})",
            hint=f"install postgresql-client-{server}",
        )
    return available[fitting[-1]]


def has_server(major: int, available: Mapping[int, Programs]) -> bool:
    """Whether a server of exactly that major version can be made here."""
    return major in available and (available[major].directory / "initdb").is_file()


def server_programs(major: int, available: Mapping[int, Programs]) -> Programs:
    """The programs to run a throwaway server of exactly that major; raises ToolMissing."""
    if not has_server(major, available):
        have = ", ".join(map(str, sorted(available))) or "none"
        raise ToolMissing(
            f"PostgreSQL {major} is not installed here (there is: {have})",
            hint=f"a drill needs the same major version: install postgresql-{major}, "
            "or name an image that has it as database_image in [drill]",
        )
    return available[major]


def dump(
    programs: Programs,
    where: Target,
    snapshot: str,
    environment: Mapping[str, str],
    encoding: str | None = None,
    lock_timeout: str = sessions.LOCK_TIMEOUT,
) -> Command:
    """`pg_dump` of an exported snapshot to standard output, in the custom format.

    Uncompressed: restic compresses, and finds again what has not changed only in plain bytes. It waits for no
    lock longer than `lock_timeout`: somebody who wants to change a table stands before it in the queue, and
    waits for us. `encoding` is the database's own, in which nothing is converted (by default what the user's
    or the database's settings say).
    """
    own = (f"--encoding={encoding}",) if encoding else ()
    arguments = ("--format=custom", "--compress=0", f"--snapshot={snapshot}", "--no-password", *own)
    options = (f"--lock-wait-timeout={lock_timeout}", f"--dbname={where.dsn}")
    return programs.command("pg_dump", (*arguments, *options), environment)


def dump_failure(error: ToolFailed) -> ToolFailed:
    """What a failed dump's words mean: DatabaseBusy, SourceChanged, or the error as it is."""
    if _WAITED.search(error.message):
        return DatabaseBusy(error.message, hint=error.hint)
    if _VANISHED.search(error.message):
        return SourceChanged(error.message, hint=error.hint)
    if sessions.is_conflict(error.message):
        return DatabaseBusy(error.message, hint=sessions.CONFLICT_HINT)
    hint = sessions.hint_for(error.message)
    return ToolFailed(error.message, hint=hint) if hint else error


def dump_roles(
    programs: Programs, where: Target, environment: Mapping[str, str], *, passwords: bool
) -> Command:
    """`pg_dumpall` of the cluster's roles and memberships to standard output, as SQL."""
    options = () if passwords else ("--no-role-passwords",)
    arguments = ("--roles-only", *options, "--no-password", "--encoding=UTF8", f"--dbname={where.dsn}")
    return programs.command("pg_dumpall", (*arguments, f"--database={where.database}"), environment)


@dataclass(frozen=True)
class LoadOptions:
    """How an archive is loaded.

    Without `tablespaces` everything goes into the database's own. Its SQL runs as `role` (None: as who logs
    in). Without `owners` everything belongs to who makes it, and privileges are left out. `whole` is all or
    nothing, in one transaction, one table after the other.
    """

    tablespaces: bool = True
    role: str | None = None
    owners: bool = True
    whole: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """pg_restore's own options."""
        return (
            *(() if self.tablespaces else ("--no-tablespaces",)),
            *((f"--role={self.role}",) if self.role else ()),
            *(() if self.owners else ("--no-owner", "--no-privileges")),
            *(("--single-transaction",) if self.whole else ()),
        )


def restore(
    programs: Programs,
    where: Target,
    archive: Path | None,
    jobs: int,
    environment: Mapping[str, str],
    options: LoadOptions | None = None,
) -> Command:
    """`pg_restore` into an empty database; the first error ends it.

    Several tables side by side, or one after the other where the archive comes by standard input (None) or
    has to be loaded whole.
    """
    options = options or LoadOptions()
    own = where.settings.get("options", "")
    session = (
        f"{own} -c synchronous_commit=off -c maintenance_work_mem=256MB -c default_transaction_read_only=off"
    )
    quicker = Target({**where.settings, "options": session.strip()})
    side_by_side = () if options.whole else (f"--jobs={jobs}",)
    what = (*side_by_side, str(archive)) if archive else ()
    arguments = ("--exit-on-error", "--no-password", *options.words, f"--dbname={quicker.dsn}", *what)
    return programs.command("pg_restore", arguments, environment)


def read_archive(programs: Programs) -> Command:
    """`pg_restore` reading a whole archive from standard input, keeping nothing."""
    return programs.command("pg_restore", ("--file=/dev/null",), {})


def raise_if_failed(completed: Completed) -> None:
    """For `process.lines`: raise ToolFailed unless pg_restore ended well."""
    if completed.code != 0:
        raise failure(Command(("pg_restore",)), completed)
