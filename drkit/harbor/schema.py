"""How far a database's schema has come: golang-migrate's table, which Harbor's core goes by when it boots."""

from __future__ import annotations

from drkit.harbor import tables, versions
from drkit.model import SchemaFault
from drkit.tools.postgres.sessions import Session


def look(session: Session) -> SchemaFault | None:
    """What is wrong with the schema's version, None where nothing is; other applications are asked less."""
    harbor = tables.is_harbor(session)
    if not tables.has(session, "schema_migrations"):
        return SchemaFault.MISSING if harbor else None
    rows = session.rows("SELECT version, dirty FROM public.schema_migrations") if _is_migrate(session) else []
    if any(dirty for _version, dirty in rows):
        return SchemaFault.DIRTY
    if not harbor:
        return None
    if not rows:
        return SchemaFault.EMPTY
    return None if versions.known(max(int(version) for version, _dirty in rows)) else SchemaFault.UNKNOWN


def _is_migrate(session: Session) -> bool:
    """Whether the table is golang-migrate's: other tools have one of that name, with other columns."""
    query = (
        "SELECT count(*) = 2 FROM pg_attribute WHERE attrelid = to_regclass('public.schema_migrations')"
        " AND attname IN ('version', 'dirty') AND NOT attisdropped"
    )
    return bool(session.value(query))
