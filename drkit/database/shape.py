"""What a database was made with: owner, encoding, collation, rights, settings, as the catalogs say."""

from __future__ import annotations

from drkit.model import DatabaseShape, Grant, Setting
from drkit.tools.postgres import sql
from drkit.tools.postgres.sessions import Session


def read_shape(session: Session) -> DatabaseShape:
    """What CREATE DATABASE needs to make this database again; reads the columns that this server has."""
    have = {
        name
        for (name,) in session.rows(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'pg_database'::regclass"
        )
    }
    locale = next((column for column in ("datlocale", "daticulocale") if column in have), None)
    query = sql.compose(
        "SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype,"
        " datconnlimit, coalesce(shobj_description(oid, 'pg_database'), ''), datacl IS NULL,"
        " {provider}, {locale}, {rules}, {version}"
        " FROM pg_database WHERE datname = current_database()",
        provider=_column(have, "datlocprovider", "c"),
        locale=_column(have, locale or "", ""),
        rules=_column(have, "daticurules", ""),
        version=_column(have, "datcollversion", ""),
    )
    row = session.row(query)
    name, owner, encoding, collate, ctype, limit, comment, default_acl, provider, icu, rules, version = row
    return DatabaseShape(
        database=name,
        owner=owner,
        encoding=encoding,
        locale_provider={"i": "icu", "b": "builtin"}.get(provider, "libc"),
        collate=collate,
        ctype=ctype,
        locale=icu,
        locale_rules=rules,
        collation_version=version,
        connection_limit=limit,
        comment=comment,
        default_acl=default_acl,
        grants=_grants(session),
        settings=_settings(session),
    )


def _column(have: set[str], name: str, otherwise: str) -> sql.Part:
    if name not in have:
        return sql.literal(otherwise)
    return sql.compose("coalesce({name}::text, '')", name=sql.identifier(name))


def _grants(session: Session) -> tuple[Grant, ...]:
    query = (
        "SELECT CASE grantee WHEN 0 THEN '' ELSE pg_get_userbyid(grantee) END, privilege_type, is_grantable"
        " FROM pg_database, aclexplode(datacl) WHERE datname = current_database() ORDER BY 1, 2"
    )
    return tuple(Grant(*row) for row in session.rows(query))


def _settings(session: Session) -> tuple[Setting, ...]:
    query = (
        "SELECT CASE setrole WHEN 0 THEN '' ELSE pg_get_userbyid(setrole) END, unnest(setconfig)"
        " FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase"
        " WHERE datname = current_database() ORDER BY 1, 2"
    )
    pairs = [(role, *setting.split("=", 1)) for role, setting in session.rows(query)]
    return tuple(Setting(name, value, role) for role, name, value in pairs)
