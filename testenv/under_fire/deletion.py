"""Deleting artifacts as Harbor's artifact controller does: deeply, in the database alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg import Connection

# Who writes the audit log.
WITNESS = "under-fire"


def witness(connection: Connection, operation: str, repository: str, digest: str) -> None:
    """Write into the audit log, in the very transaction, that an artifact comes or goes.

    So the log and the artifacts of any one moment agree, and a dump of two moments is found out.
    """
    connection.execute(
        "INSERT INTO audit_log (project_id, operation, resource_type, resource, username, op_time)"
        " SELECT project_id, %s, 'artifact', %s, %s, localtimestamp FROM project WHERE name = %s",
        (operation, f"{repository}@{digest}", WITNESS, repository.split("/", maxsplit=1)[0]),
    )


def is_child(connection: Connection, artifact: int) -> bool:
    """Whether an index refers to it."""
    found = connection.execute("SELECT 1 FROM artifact_reference WHERE child_id = %s LIMIT 1", (artifact,))
    return found.fetchone() is not None


def delete(connection: Connection, artifact: int) -> int:
    """Delete an artifact and what hangs on it, inside the caller's transaction; returns how many went."""
    found = connection.execute(
        "SELECT project_id, repository_name, digest FROM artifact WHERE id = %s FOR UPDATE", (artifact,)
    ).fetchone()
    if found is None:
        return 0
    project, repository, digest = found
    gone = 1
    connection.execute("DELETE FROM artifact_accessory WHERE artifact_id = %s", (artifact,))
    accessories = _ids(connection, "artifact_id FROM artifact_accessory WHERE subject_artifact_id", artifact)
    for accessory in accessories:
        gone += delete(connection, accessory)
    children = _ids(connection, "child_id FROM artifact_reference WHERE parent_id", artifact)
    connection.execute("DELETE FROM artifact_reference WHERE parent_id = %s", (artifact,))
    for child in children:
        tagged = connection.execute("SELECT 1 FROM tag WHERE artifact_id = %s LIMIT 1", (child,)).fetchone()
        if not tagged and not is_child(connection, child):
            gone += delete(connection, child)
    for table in ("tag", "label_reference"):
        connection.execute(f"DELETE FROM {table} WHERE artifact_id = %s".encode(), (artifact,))
    _move_to_trash(connection, artifact)
    _take_unneeded(connection, project, digest)
    witness(connection, "delete", repository, digest)
    return gone


def _ids(connection: Connection, source: str, artifact: int) -> list[int]:
    return [row[0] for row in connection.execute(f"SELECT {source} = %s".encode(), (artifact,)).fetchall()]


def _move_to_trash(connection: Connection, artifact: int) -> None:
    """The rows of artifact_blob stay until the manifest itself is collected."""
    connection.execute(
        "WITH gone AS (DELETE FROM artifact WHERE id = %(id)s RETURNING *)"
        " INSERT INTO artifact_trash (media_type, manifest_media_type, repository_name, digest)"
        " SELECT media_type, manifest_media_type, repository_name, digest FROM gone"
        " ON CONFLICT (repository_name, digest) DO NOTHING",
        {"id": artifact},
    )


def _take_unneeded(connection: Connection, project: int, digest: str) -> None:
    """Take from a project the blobs of a deleted artifact that none of its other artifacts needs."""
    connection.execute(
        "DELETE FROM project_blob pb USING blob b, artifact_blob mine"
        " WHERE pb.project_id = %(project)s AND pb.blob_id = b.id"
        "   AND mine.digest_blob = b.digest AND mine.digest_af = %(digest)s"
        "   AND NOT EXISTS (SELECT FROM artifact a JOIN artifact_blob ab ON ab.digest_af = a.digest"
        "                   WHERE a.project_id = %(project)s AND ab.digest_blob = b.digest)",
        {"project": project, "digest": digest},
    )
