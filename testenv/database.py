"""The database `registry`, its roles and its tables: made, filled with an empty schema, and dropped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import sql

if TYPE_CHECKING:
    from psycopg import Connection

NAME = "registry"
OWNER = "harbor"
READERS = "harbor_readers"
READER = "grafana"
_HERE = Path(__file__).parent


def create(server: Connection, passwords: dict[str, str]) -> None:
    """Make roles and database over an autocommit connection to the server; `passwords` by role."""
    for role in (OWNER, READER):
        server.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(passwords[role])
            )
        )
    server.execute(f"CREATE ROLE {READERS} NOLOGIN".encode())
    # A collation that exists everywhere, and that a new database would not have by itself.
    server.execute(
        f"CREATE DATABASE {NAME} OWNER {OWNER} ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0".encode()
    )
    server.execute(
        f"""
        GRANT {READERS} TO {READER};
        GRANT CONNECT ON DATABASE {NAME} TO {READERS};
        COMMENT ON DATABASE {NAME} IS 'Harbor''s own';
        ALTER DATABASE {NAME} SET timezone = 'UTC';
        ALTER DATABASE {NAME} SET lock_timeout = '30s';
        ALTER ROLE {READER} SET statement_timeout = '15s';
        ALTER ROLE {READER} CONNECTION LIMIT 5;
        """.encode()
    )


def create_tables(connection: Connection) -> None:
    """Make Harbor's tables, which belong to its own role, and let the readers read them."""
    connection.execute(f"SET ROLE {OWNER}".encode())
    connection.execute((_HERE / "schema.sql").read_bytes())
    connection.execute(
        f"""
        GRANT USAGE ON SCHEMA public TO {READERS};
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READERS};
        REVOKE SELECT ON harbor_user, oidc_user, robot, properties, registry FROM {READERS};
        GRANT SELECT (user_id, username) ON harbor_user TO {READERS};
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {READERS};
        RESET ROLE;
        """.encode()
    )


def create_indices(connection: Connection) -> None:
    """Make what queries need, once the tables are full, and gather statistics."""
    connection.execute(f"SET ROLE {OWNER}; SET maintenance_work_mem = '256MB'".encode())
    connection.execute((_HERE / "indices.sql").read_bytes())
    connection.execute(b"RESET maintenance_work_mem; RESET ROLE; ANALYZE")


def drop(server: Connection) -> None:
    """Drop the database and every role but postgres, whoever is connected; both may be gone already."""
    server.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)".encode())
    for role in (READER, READERS, OWNER):
        server.execute(f"DROP ROLE IF EXISTS {role}".encode())
