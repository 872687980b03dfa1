"""What a server must have or allow for a database to come back: read at the source, asked at the target.

The question is one SQL query, which the plan of a restore, `doctor` and the recovery script all ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from drkit.database.shape import read_shape
from drkit.errors import DatabaseForbids, ToolFailed
from drkit.model import DatabaseEvidence, DatabaseShape, RestoreNeeds
from drkit.tools.postgres import sessions, sql
from drkit.tools.postgres.sessions import Session
from drkit.tools.postgres.sql import Statement

# Roles that this database's objects depend on (o: owner, a: privileges, r: policy). PostgreSQL records
# nothing of the bootstrap superuser; what was made after initdb has a number from 16384 on. What belongs to
# an extension comes with that. The schema public has belonged to the database's owner since 15.
_ROLES = """
WITH mine AS (
  SELECT 'pg_class'::regclass AS class, oid, relowner AS owner FROM pg_class WHERE relkind <> 't'
  UNION ALL SELECT 'pg_proc'::regclass, oid, proowner FROM pg_proc
  UNION ALL SELECT 'pg_type'::regclass, oid, typowner FROM pg_type
  UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner FROM pg_namespace WHERE nspname !~ '^pg_'
  UNION ALL SELECT 'pg_largeobject'::regclass, oid, lomowner FROM pg_largeobject_metadata
  UNION ALL SELECT 'pg_default_acl'::regclass, oid, defaclrole FROM pg_default_acl),
named AS (
  SELECT pg_get_userbyid(refobjid) AS name, classid, objid, deptype FROM pg_shdepend
  WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND refclassid = 'pg_authid'::regclass
  UNION ALL SELECT pg_get_userbyid(owner), class, oid, 'o' FROM mine
  WHERE owner = 10 AND (oid >= 16384 OR (class = 'pg_namespace'::regclass AND oid = 2200
    AND current_setting('server_version_num')::int >= 150000)))
SELECT DISTINCT name::text, deptype = 'o' FROM named
WHERE name !~ '^pg_' AND NOT EXISTS (
  SELECT FROM pg_depend d WHERE d.classid = named.classid AND d.objid = named.objid AND d.deptype = 'e')
ORDER BY 1, 2"""

# What PostgreSQL lets nobody but a superuser make, outside of extensions.
_SUPERUSER = """
SELECT said FROM (
  SELECT 'pg_event_trigger'::regclass AS class, oid, format('event trigger %s', evtname) AS said
  FROM pg_event_trigger
  UNION ALL SELECT 'pg_proc'::regclass, p.oid, format('function %s in language %s', p.proname, l.lanname)
  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE NOT l.lanpltrusted AND p.oid >= 16384
  UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, format('foreign-data wrapper %s', fdwname)
  FROM pg_foreign_data_wrapper
  UNION ALL SELECT 'pg_publication'::regclass, oid, format('publication %s of all tables', pubname)
  FROM pg_publication WHERE puballtables
  UNION ALL SELECT 'pg_opclass'::regclass, oid, format('operator class %s', opcname)
  FROM pg_opclass WHERE oid >= 16384
  UNION ALL SELECT 'pg_namespace'::regclass, n.oid, 'privileges on the schema public'
  FROM pg_namespace n JOIN pg_init_privs i ON i.objoid = n.oid AND i.classoid = 'pg_namespace'::regclass
  WHERE n.oid = 2200 AND n.nspacl::text <> i.initprivs::text
    AND current_setting('server_version_num')::int < 150000
  UNION ALL SELECT DISTINCT 'pg_shdepend'::regclass, objid, 'privileges on objects of the system'
  FROM pg_shdepend WHERE deptype = 'a' AND objid < 16384 AND classid <> 'pg_namespace'::regclass
    AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS found
WHERE NOT EXISTS (
  SELECT FROM pg_depend d WHERE d.classid = found.class AND d.objid = found.oid AND d.deptype = 'e')
ORDER BY 1"""

# A sentence for whatever stands in the way, and what mends it.
_LACKING = """
WITH me AS (SELECT * FROM pg_roles WHERE rolname = current_user),
owners AS (SELECT unnest({owners}::text[]) AS name),
needed AS (SELECT unnest({needed}::text[]) AS name),
extensions AS (SELECT unnest({extensions}::text[]) AS name),
known AS (SELECT name, bool_or(coalesce((to_jsonb(v) ->> 'trusted')::boolean, NOT superuser)) AS trusted
          FROM pg_available_extension_versions v GROUP BY 1)
SELECT said, remedy FROM (
  SELECT 1 AS number, 'the server is a standby, which nothing can be written to' AS said,
    'name the primary' AS remedy WHERE pg_is_in_recovery()
  UNION ALL SELECT 2, format('the user %I may not create databases', rolname),
    format('ALTER ROLE %I CREATEDB', rolname)
  FROM me WHERE {creates} AND NOT (rolsuper OR rolcreatedb)
  UNION ALL SELECT 3, format('there is no role %I, which owns what is restored', name),
    format('CREATE ROLE %I', name)
  FROM owners, me WHERE {creates} AND NOT rolsuper AND name NOT IN (SELECT rolname FROM pg_roles)
  UNION ALL SELECT 4, format('there is no role %I, and the user %I may not create roles', name, rolname),
    format('CREATE ROLE %I', name)
  FROM needed, me WHERE {creates} AND NOT (rolsuper OR rolcreaterole)
    AND name NOT IN (SELECT rolname FROM pg_roles)
  UNION ALL SELECT 5,
    format('the user %I is no member of the role %I, which owns what is restored', me.rolname, name),
    format('GRANT %I TO %I', name, me.rolname)
  FROM owners, me WHERE {creates} AND NOT me.rolsuper AND name IN (SELECT rolname FROM pg_roles)
    AND NOT {member}
  UNION ALL SELECT 6, format('only a superuser may make the %s', said), 'use the login of a superuser'
  FROM unnest({superuser}::text[]) AS said, me WHERE NOT rolsuper
  UNION ALL SELECT 7, format('the server does not have the extension %s', name),
    'install its package there'
  FROM extensions WHERE name NOT IN (SELECT name FROM known)
  UNION ALL SELECT 8, format('only a superuser may make the extension %s', name),
    'use the login of a superuser'
  FROM extensions JOIN known USING (name), me WHERE NOT rolsuper AND NOT trusted
    AND name <> 'plpgsql'
) AS lacking ORDER BY number, said"""

# From 16 on a role may be a member that cannot act as the other.
_MEMBER: LiteralString = (
    "coalesce((SELECT CASE WHEN current_setting('server_version_num')::int >= 160000"
    " THEN pg_has_role(current_user, had.oid, 'SET') ELSE pg_has_role(current_user, had.oid, 'MEMBER') END"
    " FROM pg_roles had WHERE had.rolname = name), false)"
)

# The role that the dump's SQL can be run as, if that is no superuser: the owner, where nothing needs more.
_LOADER = """
SELECT owner.rolname::text FROM pg_roles owner, pg_roles me
WHERE owner.rolname = {owner} AND me.rolname = current_user AND me.rolsuper AND NOT owner.rolsuper
  AND {plain} AND NOT EXISTS (
    SELECT FROM pg_roles r WHERE r.rolname = ANY ({owners}::text[])
    AND NOT pg_has_role(owner.oid, r.oid, 'MEMBER'))
  AND NOT EXISTS (
    SELECT FROM pg_available_extension_versions v
    WHERE name = ANY ({extensions}::text[]) AND name <> 'plpgsql'
    GROUP BY name HAVING NOT bool_or(coalesce((to_jsonb(v) ->> 'trusted')::boolean, NOT superuser)))"""


@dataclass(frozen=True)
class Lacking:
    """Something that a restore would fail for, in a sentence, and what to do about it."""

    said: str
    remedy: str


def read(session: Session) -> RestoreNeeds:
    """What the database of this session needs of a server that it is restored to."""
    rows = session.rows(_ROLES)
    owners = tuple(name for name, owns in rows if owns)
    grantees = tuple(name for name, owns in rows if not owns and name not in owners)
    superuser = tuple(dict.fromkeys(said for (said,) in session.rows(_SUPERUSER)))
    return RestoreNeeds(owners, grantees, superuser)


def lacking_query(evidence: DatabaseEvidence, *, creates: bool) -> Statement:
    """A query with a row (what is lacking, what mends it) for each thing that a restore would fail for.

    `creates` says that the database has to be made, as it was; one that somebody else has made is filled with
    whatever rights there are.
    """
    needs, shape = evidence.needs, evidence.shape
    owners = sorted({*needs.owners, shape.owner})
    named = {grant.grantee for grant in shape.grants} | {setting.role for setting in shape.settings}
    return sql.compose(
        _LACKING,
        owners=sql.literal(owners),
        needed=sql.literal(sorted({*needs.grantees, *named} - {"", *owners})),
        extensions=sql.literal(sorted(evidence.extensions)),
        superuser=sql.literal(list(needs.superuser)),
        creates=sql.literal(creates),
        member=sql.fragment(_MEMBER),
    )


def lacking(session: Session, evidence: DatabaseEvidence, *, creates: bool) -> tuple[Lacking, ...]:
    """What stands in the way on this server; raises ToolFailed."""
    return tuple(Lacking(*row) for row in session.rows(lacking_query(evidence, creates=creates)))


def lacking_here(session: Session) -> tuple[Lacking, ...]:
    """What a restore of this session's database to its own server, by its own user, would fail for."""
    extensions = {str(name): "" for (name,) in session.rows("SELECT extname FROM pg_extension")}
    shape, version = read_shape(session), session.server_version
    here = DatabaseEvidence("", shape, version, extensions, (), needs=read(session))
    return lacking(session, here, creates=True)


def loader_query(evidence: DatabaseEvidence) -> Statement:
    """A query for the role that a superuser lets the SQL of a dump run as; no row: as the superuser."""
    return sql.compose(
        _LOADER,
        owner=sql.literal(evidence.shape.owner),
        owners=sql.literal(list(evidence.needs.owners)),
        extensions=sql.literal(sorted(evidence.extensions)),
        plain=sql.literal(not evidence.needs.superuser),
    )


def loader(session: Session, evidence: DatabaseEvidence) -> str | None:
    """The role that the SQL of a dump is to run as; None: as this session's user."""
    return next((name for (name,) in session.rows(loader_query(evidence))), None)


def owns_all(session: Session, evidence: DatabaseEvidence) -> bool:
    """Whether this session's user can give everything to the roles that owned it."""
    return bool(session.value(owns_all_query(evidence)))


def makes_roles(session: Session) -> bool:
    """Whether this session's user may make roles."""
    return bool(session.value("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user"))


def owns_database(session: Session) -> bool:
    """Whether this session's user may change the database that it is in as its owner."""
    return bool(
        session.value(
            "SELECT pg_has_role(current_user, datdba, 'USAGE') FROM pg_database"
            " WHERE datname = current_database()"
        )
    )


def owns_all_query(evidence: DatabaseEvidence) -> Statement:
    """Whether this session's user can give everything to the roles that owned it."""
    return sql.compose(
        "SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) OR NOT EXISTS ("
        "SELECT FROM unnest({owners}::text[]) AS owners (name) WHERE NOT {member})",
        owners=sql.literal(sorted({*evidence.needs.owners, *evidence.needs.grantees})),
        member=sql.fragment(_MEMBER),
    )


def locale_fault(session: Session, shape: DatabaseShape) -> str:
    """Why this server cannot make a database with that locale; empty where it can, or nobody can tell.

    A collation of that locale is made and undone.
    """
    name, locale = sql.fragment("pg_temp.drkit_trial"), sql.literal(shape.locale)
    match shape.locale_provider:
        case "icu":
            rules = sql.literal(shape.locale_rules)
            given = sql.compose(", RULES = {rules}", rules=rules) if shape.locale_rules else None
            trial = sql.compose(
                "CREATE COLLATION {name} (PROVIDER = icu, LOCALE = {locale}{rules})",
                name=name,
                locale=locale,
                rules=given or sql.fragment(""),
            )
        case "builtin":
            trial = sql.compose(
                "CREATE COLLATION {name} (PROVIDER = builtin, LOCALE = {locale})", name=name, locale=locale
            )
        case _:
            trial = sql.compose(
                "CREATE COLLATION {name} (LC_COLLATE = {collate}, LC_CTYPE = {ctype})",
                name=name,
                collate=sql.literal(shape.collate),
                ctype=sql.literal(shape.ctype),
            )
    try:
        with session.undone():
            session.execute(trial)
    except DatabaseForbids:
        return ""
    except ToolFailed as error:
        # The database that we are in may have another encoding.
        return "" if sessions.is_about_encoding(error) else error.message
    return ""
