"""Faults in what is backed up, not in how it is stored: a row of the dump, a file of the bundle."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

import psycopg

from testenv import cluster
from testenv.planted import files

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from psycopg import Connection

    from testenv.under_fire.scratch import Scratch

_COLUMNS = """
    SELECT relname, attname, typname FROM pg_class c
        JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
        JOIN pg_type t ON t.oid = atttypid
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        AND typname IN ('int4', 'int8', 'text', 'varchar', 'bool', 'timestamp', 'timestamptz')
    ORDER BY 1, 2"""
_CHANGES = {
    "int4": "{0} + 1",
    "int8": "{0} + 1",
    "text": "{0} || ' '",
    "varchar": "overlay({0} placing 'z' from 1 for 1)",
    "bool": "NOT {0}",
    "timestamp": "{0} + interval '1 microsecond'",
    "timestamptz": "{0} + interval '1 microsecond'",
}
_HASH = "SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {} t"
_TRIES = 200
# A bundle's own index: the files are all there without it, as in a bundle that somebody made by hand.
INDEX = "drkit-bundle.json"
# What can happen to a part's only file: restic stores nothing from an empty standard input.
_OF_ONE_FILE = ("truncated", "flipped", "appended to")


def other_dump(archive: bytes, scratch: Scratch, random: Random) -> tuple[str, bytes]:
    """What was done to one row of a dumped database, and the dump of that."""
    path = scratch.directory / "archive.dump"
    path.write_bytes(archive)
    with scratch.restored(path, _owner(path)) as connection:
        connection.execute("SET session_replication_role = replica")
        done = _change_a_row(connection, random)
        connection.commit()
        return done, _dump(connection, scratch.directory / "changed.dump")


def _owner(archive: Path) -> str:
    """Whose the tables of an archive are: a dump with other owners is refused for that, whatever its rows."""
    listed = subprocess.run(
        [cluster.programs() / "pg_restore", "--list", archive], check=True, capture_output=True, text=True
    ).stdout
    return next(line.split()[-1] for line in listed.splitlines() if " TABLE public " in line)


def _change_a_row(connection: Connection, random: Random) -> str:
    columns = connection.execute(_COLUMNS.encode()).fetchall()
    for _ in range(_TRIES):
        table, column, kind = random.choice(columns)
        row = f"ctid = (SELECT ctid FROM {table} WHERE {column} IS NOT NULL ORDER BY random() LIMIT 1)"
        delete = random.random() < 0.3
        quoted = f'"{column}"'
        change = f"{quoted} = {_CHANGES[kind].format(quoted)}"
        statement = (
            f"DELETE FROM {table} WHERE {row}" if delete else f"UPDATE {table} SET {change} WHERE {row}"
        )
        try:
            with connection.transaction():
                before = connection.execute(_HASH.format(table).encode()).fetchone()
                connection.execute(statement.encode())
                after = connection.execute(_HASH.format(table).encode()).fetchone()
        except psycopg.Error:
            continue
        if before != after:
            return f"{table}: row deleted" if delete else f"{table}.{column} changed"
    raise LookupError("no row could be changed")


def _dump(connection: Connection, target: Path) -> bytes:
    info = connection.info
    subprocess.run(
        [
            cluster.programs() / "pg_dump", "--format=custom", "--compress=0", f"--file={target}",
            f"--dbname=host={info.host} port={info.port} user={info.user} dbname={info.dbname}",
        ],
        check=True,
        env={"PATH": os.environ["PATH"], "PGPASSWORD": info.password, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    return target.read_bytes()


def other_bundle(sealed: bytes, identity: Path, random: Random) -> tuple[str, bytes]:
    """What was done to a bundle, and the bundle: its encrypted bytes, or one of its members."""
    if random.random() < 0.3:
        fault = random.choice(_OF_ONE_FILE)
        return f"encrypted bundle {fault}", files.changed(sealed, fault, b"", random)
    plain = _age(["--decrypt", "--identity", str(identity)], sealed)
    done, changed = _change_a_member(plain, random)
    recipient = subprocess.run(
        ["age-keygen", "-y", str(identity)], check=True, capture_output=True, text=True
    ).stdout.strip()
    return done, _age(["--recipient", recipient], changed)


def _change_a_member(plain: bytes, random: Random) -> tuple[str, bytes]:
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(plain)) as source:
        members = [(member, source.extractfile(member)) for member in source.getmembers()]
        held = [(member, body.read() if body else None) for member, body in members]
    chosen = random.choice([member.name for member, data in held if data and member.name != INDEX])
    fault = random.choice(files.FAULTS)
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as target:
        for member, data in held:
            body = data
            if member.name == chosen:
                if fault == "deleted":
                    continue
                others = [each for other, each in held if each and other.name != chosen]
                body = files.changed(data or b"", fault, random.choice(others), random)
                member.size = len(body)
            target.addfile(member, io.BytesIO(body) if body is not None else None)
    return f"{chosen.rpartition('/')[2]} in the bundle {fault}", made.getvalue()


def _age(words: list[str], data: bytes) -> bytes:
    return subprocess.run(["age", *words], input=data, stdout=subprocess.PIPE, check=True).stdout


def other_lines(data: bytes, random: Random) -> tuple[str, bytes]:
    """A list without one of its lines; a tar that is cut, or another in what it has."""
    lines = data.splitlines(keepends=True)
    if data[:1] == b"{" and len(lines) > 1:
        del lines[random.randrange(len(lines))]
        return "a line gone", b"".join(lines)
    # What is flipped in the padding of a tar, or cut from the zeros at its end, is in nobody's way.
    for _ in range(_TRIES):
        fault = random.choice(_OF_ONE_FILE)
        changed = files.changed(data, fault, b"", random)
        if _in_tar(changed) != _in_tar(data):
            return fault, changed
    raise LookupError("no other tar could be made")


def _in_tar(data: bytes) -> list[tuple[object, bytes]] | None:
    """What a tar has, or None where it cannot be read to its end."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = archive.getmembers()
            held: list[tuple[object, bytes]] = [(m.get_info(), _body(archive, m)) for m in members]
        end = members[-1].offset_data + -(-members[-1].size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    except (tarfile.TarError, EOFError, ValueError):
        return None
    # Python's own reader takes a tar that breaks off between two members for one that ends.
    return held if data[end : end + tarfile.BLOCKSIZE] == bytes(tarfile.BLOCKSIZE) else None


def _body(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    body = archive.extractfile(member)
    return body.read() if body else b""
