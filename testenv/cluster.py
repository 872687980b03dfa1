"""A PostgreSQL server of the site's own: one cluster, one port on 127.0.0.1, passwords everywhere.

PostgreSQL refuses to run as root, so root drops to the user `postgres`; anybody else runs it as oneself.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path

import psycopg

from testenv import processes

# Nothing in a test site has to survive a power cut.
_SETTINGS = """
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
synchronous_commit = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 4GB
timezone = 'UTC'
log_timezone = 'UTC'
password_encryption = 'scram-sha-256'
"""


def programs(major: int | None = None) -> Path:
    """The directory of the server's programs: the newest, or that of one major version."""
    found = {
        int(path.parent.parent.name): path.parent
        for path in Path("/usr/lib/postgresql").glob("[0-9]*/bin/postgres")
        if path.parent.parent.name.isdigit()
    }
    if found and major is None:
        return found[max(found)]
    if major in found:
        return found[major]
    on_path = shutil.which("postgres")
    if on_path and major is None:
        return Path(on_path).parent
    wanted = f"PostgreSQL {major}" if major else "a PostgreSQL server"
    raise processes.ServerError(f"finds no {wanted}: run testenv/install")


def private_directory(root: Path) -> Path:
    """A short place for the Unix socket (its path may have 107 bytes), derived from the site's own place.

    It also holds the data where the server's user cannot enter the site's directory.
    """
    name = hashlib.sha256(f"{os.getuid()} {root.resolve()}".encode()).hexdigest()[:12]
    return Path("/var/tmp") / f"drkit-testenv-{name}"


def create(root: Path, password: str, major: int | None = None) -> None:
    """Make the cluster below `root`, with `password` for its superuser postgres; it does not run yet."""
    uid, gid = _user()
    private = _make_private(root)
    data = root / "postgres"
    if _may_enter(root, uid):
        data.mkdir(mode=0o700)
        os.chown(data, uid, gid)
    else:
        inside = private / "data"
        inside.mkdir(mode=0o700)
        os.chown(inside, uid, gid)
        data.symlink_to(inside)
    password_file = private / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password + "\n")
    os.chown(password_file, uid, gid)
    try:
        _initdb(programs(major), data.resolve(), password_file)
    finally:
        password_file.unlink()
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(_SETTINGS)


def start(root: Path, port: int, password: str) -> None:
    """Start the server and wait until it lets the superuser in; PortTakenError if the port is not free."""
    if running(root):
        return
    uid, gid = _user()
    private = _make_private(root)
    data = data_directory(root)
    major = int((data / "PG_VERSION").read_text())
    log = root / "log" / "postgres.log"
    log.unlink(missing_ok=True)  # an old message must not be taken for a new one
    pid = processes.spawn(
        [programs(major) / "postgres", "-D", data, "-p", str(port), "-k", private],
        log=log,
        pid_file=root / "run" / "postgres.pid",
        cwd=data,
        user=uid if os.getuid() == 0 else None,
        group=gid if os.getuid() == 0 else None,
    )
    dsn = f"host=127.0.0.1 port={port} user=postgres dbname=postgres connect_timeout=5"
    processes.wait_until(lambda: _answers(dsn, password, data), pid=pid, log=log)


def data_directory(root: Path) -> Path:
    """Where the cluster keeps its data."""
    return (root / "postgres").resolve()


def running(root: Path) -> list[int]:
    """The server's main process, if it runs."""
    return processes.find("postgres", private_directory(root))


def stop(root: Path, *, quick: bool = False) -> None:
    """End the server and its children; `quick` without a checkpoint, for data that is to be removed."""
    processes.stop(lambda: running(root), polite=signal.SIGQUIT if quick else signal.SIGINT)
    for data in (data_directory(root), private_directory(root) / "data"):
        for program in ("initdb", "postgres"):  # a killed `create` may have left either
            processes.stop(partial(processes.inside, program, data), polite=signal.SIGQUIT)


def destroy(root: Path) -> None:
    """End the server and remove what it keeps outside the site's directory."""
    stop(root, quick=True)
    shutil.rmtree(private_directory(root), ignore_errors=True)


def _answers(dsn: str, password: str, data: Path) -> bool:
    """Does this very server answer? Another one, with the same password, may have been quicker."""
    try:
        with psycopg.connect(dsn, password=password) as connection:
            return connection.execute("SHOW data_directory").fetchone() == (str(data),)
    except psycopg.OperationalError:
        return False


def _initdb(binaries: Path, data: Path, password_file: Path) -> None:
    uid, gid = _user()
    done = subprocess.run(
        [
            binaries / "initdb", f"--pgdata={data}", "--username=postgres", f"--pwfile={password_file}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
        ],
        capture_output=True,
        text=True,
        cwd=data,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        user=uid if os.getuid() == 0 else None,
        group=gid if os.getuid() == 0 else None,
        extra_groups=[] if os.getuid() == 0 else None,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise processes.ServerError(f"initdb failed:\n{done.stdout}{done.stderr}")


def _user() -> tuple[int, int]:
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        raise processes.ServerError("there is no user postgres: run testenv/install") from None
    return entry.pw_uid, entry.pw_gid


def _make_private(root: Path) -> Path:
    """The private directory, which must be ours: its name can be guessed, and /var/tmp is everybody's."""
    uid, gid = _user()
    private = private_directory(root)
    try:
        private.mkdir(mode=0o700)
        os.chown(private, uid, gid)
    except FileExistsError:
        if private.is_symlink() or private.stat().st_uid != uid:
            raise processes.ServerError(f"{private} belongs to somebody else") from None
    return private


def _may_enter(directory: Path, uid: int) -> bool:
    """May this user pass through the directory and all above it? (ACLs are not looked at.)"""
    if uid == os.getuid():
        return True
    return all(path.stat().st_mode & 0o001 for path in (directory.resolve(), *directory.resolve().parents))
