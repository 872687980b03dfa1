"""A full account of a site, to compare what was lost with what came back.

Two accounts of the same thing are equal dictionaries; where they differ, the keys say what does.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from testenv.invariants import file_digest

if TYPE_CHECKING:
    from psycopg import Connection

_DEFINITIONS = {
    "owner of": "SELECT relname, relowner::regrole FROM pg_class WHERE {public} AND relkind IN ('r', 'S')",
    "privileges on": "SELECT relname, relacl::text FROM pg_class WHERE {public} AND relkind IN ('r', 'S')",
    "column": """
        SELECT attrelid::regclass || '.' || attname, format_type(atttypid, atttypmod) || ' ' || attnotnull
            || ' ' || coalesce(pg_get_expr(adbin, adrelid), '') || ' ' || coalesce(attacl::text, '')
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
            LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE {public} AND relkind = 'r' AND attnum > 0 AND NOT attisdropped""",
    "index": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraint": """
        SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace""",
    "trigger": """
        SELECT tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) FROM pg_trigger
        WHERE NOT tgisinternal""",
    "function": """
        SELECT proname, pg_get_functiondef(oid) FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace""",
    "sequence": "SELECT sequencename, coalesce(last_value::text, 'unused') FROM pg_sequences",
    "default privileges": "SELECT defaclrole::regrole::text, defaclacl::text FROM pg_default_acl",
    "schema": """
        SELECT nspname, nspowner::regrole || coalesce(nspacl::text, '') FROM pg_namespace
        WHERE nspname = 'public'""",
    "database": """
        SELECT 'itself', concat_ws(' ', datdba::regrole, pg_encoding_to_char(encoding), datcollate, datctype,
            datacl, (SELECT array_agg(s ORDER BY s) FROM pg_db_role_setting r, unnest(setconfig) s
             WHERE r.setdatabase = d.oid AND r.setrole = 0))
        FROM pg_database d WHERE datname = current_database()""",
}  # fmt: skip

_ROLES = """
    SELECT rolname, concat_ws(' ', rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin,
        rolconnlimit, rolpassword,
        (SELECT array_agg(roleid::regrole::text ORDER BY roleid) FROM pg_auth_members WHERE member = a.oid),
        (SELECT setconfig FROM pg_db_role_setting WHERE setrole = a.oid AND setdatabase = 0))
    FROM pg_authid a WHERE rolname NOT LIKE 'pg\\_%'
"""


def tables(connection: Connection) -> dict[str, str]:
    """For each table the number of its rows and a hash of all their columns."""
    names = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    ).fetchall()
    found = {}
    for (name,) in names:
        row = connection.execute(
            f"SELECT count(*), md5(string_agg(h, '' ORDER BY h))"
            f" FROM (SELECT md5(t::text) AS h FROM public.{name} t) r".encode()
        ).fetchone()
        assert row is not None
        found[f"table {name}"] = f"{row[0]} rows {row[1]}"
    return found


def definitions(connection: Connection) -> dict[str, str]:
    """All of a database that is not a row: owners, privileges, columns, indices, sequences, settings."""
    public = "relnamespace = 'public'::regnamespace"
    return {
        f"{what} {name}": str(value)
        for what, query in _DEFINITIONS.items()
        for name, value in connection.execute(query.format(public=public).encode())
    }


def roles(connection: Connection) -> dict[str, str]:
    """Every role with its rights, password hash, memberships and settings (superusers may look)."""
    return {f"role {name}": value for name, value in connection.execute(_ROLES.encode())}


def files(directory: Path) -> dict[str, str]:
    """Every file below a directory: its digest, mode and owner. Uploads in flight are left out."""
    found = {}
    for where, _, names in os.walk(directory):
        for name in names:
            path = Path(where, name)
            if "_uploads" not in path.parts:
                about = path.stat()
                mode = stat.filemode(about.st_mode)
                found[str(path.relative_to(directory))] = (
                    f"{file_digest(path)} {mode} {about.st_uid}:{about.st_gid}"
                )
    return found
