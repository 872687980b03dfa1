"""A full account of a registry, to compare what was lost with what came back."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

import testenv
from testenv import Site, push, witness
from testenv.invariants import file_digest

if TYPE_CHECKING:
    from psycopg import Connection

    from tests.e2e.commands import Drkit

# What the witness says of these, this module says by what it means and not by how it is written.
_OTHERWISE = ("privileges on ", "database itself", "schema ")
# Privileges as a set: a list that says what is the default is equal to no list, and its order means nothing.
_PRIVILEGES = """
    SELECT '{what} ' || {name}, array_agg(p ORDER BY p)::text
    FROM (SELECT {name}, grantor::regrole || ' to ' || grantee::oid::regrole || ' ' || privilege_type
              || CASE WHEN is_grantable THEN ' with grant option' ELSE '' END AS p
          FROM {catalog}, aclexplode(coalesce({acl}, acldefault(({kind})::"char", {owner})))
          WHERE {where}) each
    GROUP BY 1"""
_TABLES = "relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')"
_KIND = "CASE relkind WHEN 'S' THEN 's' ELSE 'r' END"
_OBJECTS = (
    ("database", "datname", "pg_database", "datacl", "'d'", "datdba", "datname = current_database()"),
    ("relation", "relname", "pg_class", "relacl", _KIND, "relowner", _TABLES),
    ("schema", "nspname", "pg_namespace", "nspacl", "'n'", "nspowner", "nspname = 'public'"),
)

_FURTHER = {
    "database": """
        SELECT concat_ws(' ', datdba::regrole, pg_encoding_to_char(encoding), datcollate, datctype,
            datlocprovider)
        FROM pg_database WHERE {this}""",
    "settings": """
        SELECT array_agg(s ORDER BY s) FROM pg_db_role_setting r JOIN pg_database d ON d.oid = r.setdatabase,
            unnest(setconfig) s WHERE {this} AND setrole = 0""",
    "comment on the database": "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE {this}",
    "connection limit": "SELECT datconnlimit FROM pg_database WHERE {this}",
    "settings of roles in it": """
        SELECT array_agg(setrole::regrole || ' ' || s ORDER BY 1) FROM pg_db_role_setting r
            JOIN pg_database d ON d.oid = r.setdatabase, unnest(setconfig) s WHERE {this} AND setrole <> 0""",
    "large objects": """
        SELECT array_agg(oid || ' ' || lomowner::regrole ORDER BY oid) FROM pg_largeobject_metadata""",
}


def embellish(site: Site) -> None:
    """Give the registry what a careless backup loses: settings, grants, links, odd modes and times."""
    with testenv.connect(site) as connection:
        connection.execute(
            b"""
            REVOKE TEMPORARY ON DATABASE registry FROM PUBLIC;
            ALTER DATABASE registry CONNECTION LIMIT 321;
            ALTER ROLE grafana IN DATABASE registry SET search_path = public, "odd, name";
            SELECT lo_from_bytea(0, 'a large object');
            """
        )
    extra = site.data / "secret/extra"
    extra.mkdir(mode=0o750)
    (extra / "plain").write_text("read by the group")
    (extra / "plain").chmod(0o440)
    (extra / "link").symlink_to("plain")
    (extra / "leer räumig ü.key").write_bytes(bytes(range(256)))
    os.utime(extra / "plain", ns=(1_600_000_000_123_456_789, 1_600_000_000_987_654_321))
    os.utime(extra, ns=(1_500_000_000_000_000_001, 1_500_000_000_000_000_001))
    testenv.site.give_to_harbor(site)


def database(site: Site, name: str | None = None) -> dict[str, str]:
    """Every table's rows, every definition and right, and every role."""
    with testenv.connect(site, name) as connection:
        return described(connection)


def described(connection: Connection) -> dict[str, str]:
    """The same of whatever database a connection leads to."""
    definitions = witness.definitions(connection)
    return (
        witness.tables(connection)
        | {what: value for what, value in definitions.items() if not what.startswith(_OTHERWISE)}
        | witness.roles(connection)
        | _privileges(connection)
        | _further(connection)
    )


def _privileges(connection: Connection) -> dict[str, str]:
    found: dict[str, str] = {}
    for what, name, catalog, acl, kind, owner, where in _OBJECTS:
        query = _PRIVILEGES.format(
            what=what, name=name, catalog=catalog, acl=acl, kind=kind, owner=owner, where=where
        )
        found |= dict(connection.execute(query.encode()).fetchall())
    return found


def _further(connection: Connection) -> dict[str, str]:
    this = "datname = current_database()"
    queries = {what: query.format(this=this).encode() for what, query in _FURTHER.items()}
    return {what: str(connection.execute(query).fetchone()) for what, query in queries.items()}


def files(*tops: Path) -> dict[str, str]:
    """Everything at and below the paths: kind, mode, owner, time to the nanosecond, content.

    Uploads in flight are left out, with the time of the directory that they stand in.
    """
    return {str(path): _describe(path) for top in tops for path in _walk(top) if "_uploads" not in path.parts}


def exists(server: Connection, name: str) -> bool:
    """Whether the server has a database of that name."""
    return bool(server.execute(b"SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone())


def sessions(server: Connection) -> int:
    """How many sessions on the server are drkit's, or of programs that it runs."""
    names = "('drkit', 'pg_dump', 'pg_restore')"
    query = f"SELECT count(*) FROM pg_stat_activity WHERE application_name IN {names}"
    row = server.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def protected(drkit: Drkit) -> list[Path]:
    """The paths of secrets that a configuration protects."""
    document = tomllib.loads(drkit.config.read_text())
    return [Path(path) for path in document["secrets"]["paths"]]


def _walk(top: Path) -> Iterable[Path]:
    yield top
    for directory, names, others in os.walk(top):
        for name in (*names, *others):
            yield Path(directory, name)


def _describe(path: Path) -> str:
    status = path.lstat()
    about = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid} {status.st_mtime_ns}"
    if stat.S_ISLNK(status.st_mode):
        return f"{about} -> {path.readlink()}"
    return f"{about} {file_digest(path)}" if stat.S_ISREG(status.st_mode) else about


def served(site: Site) -> dict[str, str]:
    """What the registry serves for every artifact: the digest in its answer, asked for by digest."""
    with testenv.connect(site) as connection:
        images = connection.execute("SELECT repository_name, digest FROM artifact ORDER BY 1, 2").fetchall()
    accept = {"Accept": ", ".join(push.MANIFEST_TYPES)}
    found = {}
    with httpx.Client(base_url=site.registry_url, headers=accept, trust_env=False, timeout=60) as client:
        for repository, digest in images:
            answer = client.get(f"/v2/{repository}/manifests/{digest}")
            found[f"{repository}@{digest}"] = (
                f"{answer.status_code} {answer.headers.get('Docker-Content-Digest')}"
            )
    return found
