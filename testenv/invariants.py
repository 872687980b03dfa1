"""What holds in every undamaged site: rows, manifests and files agree. Each function tells what does not."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from psycopg import Connection

_TORN = {
    "artifact_blob names a blob without a row": """
        SELECT ab.digest_blob FROM artifact_blob ab LEFT JOIN blob b ON b.digest = ab.digest_blob
        WHERE b.id IS NULL""",
    "artifact without its own artifact_blob row": """
        SELECT a.digest FROM artifact a LEFT JOIN artifact_blob ab ON ab.digest_af = a.digest
            AND ab.digest_blob = a.digest WHERE ab.id IS NULL""",
    "artifact_blob of no artifact": """
        SELECT ab.digest_af FROM artifact_blob ab LEFT JOIN artifact a ON a.digest = ab.digest_af
        WHERE a.id IS NULL""",
    "artifact without repository": """
        SELECT a.digest FROM artifact a LEFT JOIN repository r ON r.repository_id = a.repository_id
            AND r.name = a.repository_name AND r.project_id = a.project_id WHERE r.name IS NULL""",
    "repository without project": """
        SELECT r.name FROM repository r LEFT JOIN project p USING (project_id) WHERE p.name IS NULL""",
    "tag of another repository's artifact": """
        SELECT t.name FROM tag t LEFT JOIN artifact a ON a.id = t.artifact_id
            AND a.repository_id = t.repository_id WHERE a.id IS NULL""",
    "project_blob without project or blob": """
        SELECT pb.id::text FROM project_blob pb LEFT JOIN project USING (project_id)
            LEFT JOIN blob b ON b.id = pb.blob_id WHERE b.id IS NULL OR name IS NULL""",
    "blob that no project has": """
        SELECT b.digest FROM blob b LEFT JOIN project_blob pb ON pb.blob_id = b.id WHERE pb.id IS NULL""",
    "accessory without its artifacts": """
        SELECT c.digest FROM artifact_accessory c LEFT JOIN artifact a ON a.id = c.artifact_id
            LEFT JOIN artifact s ON s.id = c.subject_artifact_id AND s.digest = c.subject_artifact_digest
        WHERE a.id IS NULL OR s.id IS NULL""",
    "reference to another child than it says": """
        SELECT x.child_digest FROM artifact_reference x LEFT JOIN artifact a ON a.id = x.child_id
            AND a.digest = x.child_digest WHERE a.id IS NULL""",
}  # fmt: skip


def torn_rows(connection: Connection) -> list[str]:
    """Relations that Harbor relies on without declaring them, and its few foreign keys as well."""
    queries = {**_TORN, **_foreign_keys(connection)}
    return [
        f"{name}: {row[0]}" for name, query in queries.items() for row in connection.execute(query.encode())
    ]


def wrong_files(connection: Connection, blobs: Path) -> list[str]:
    """Blobs in rows and in files: each must be there with its size, hash to its name, and be known."""
    store = blobs / "docker/registry/v2/blobs/sha256"
    known: dict[str, int] = dict(
        connection.execute(
            "SELECT digest, size FROM blob WHERE content_type NOT LIKE '%.foreign.%'"
        ).fetchall()
    )
    known |= dict(connection.execute("SELECT digest, size FROM system_artifact").fetchall())
    stored = {f"sha256:{path.parent.name}": path for path in store.glob("*/*/data")}
    found = [f"missing: {digest}" for digest in known.keys() - stored.keys()]
    found += [f"unknown: {digest}" for digest in stored.keys() - known.keys()]
    for digest in known.keys() & stored.keys():
        if stored[digest].stat().st_size != known[digest]:
            found.append(f"size: {digest}")
        if f"sha256:{file_digest(stored[digest])}" != digest:
            found.append(f"hash: {digest}")
    return found


def wrong_manifests(connection: Connection, blobs: Path) -> list[str]:
    """Artifacts whose rows say something else than the bytes of their manifests do."""
    found = []
    for digest, media_type, repository, names in connection.execute(
        "SELECT a.digest, a.manifest_media_type, a.repository_name, (SELECT array_agg(digest_blob::text)"
        "  FROM artifact_blob WHERE digest_af = a.digest) FROM artifact a"
    ):
        value = digest.removeprefix("sha256:")
        body = json.loads((blobs / f"docker/registry/v2/blobs/sha256/{value[:2]}/{value}/data").read_bytes())
        if body["mediaType"] != media_type:
            found.append(f"media type: {digest}")
        if set(names) != {digest, *_named(body)}:
            found.append(f"blobs: {digest}")
        links = blobs / "docker/registry/v2/repositories" / repository
        layers = [] if "manifests" in body else _stored_layers(body)
        for path in (
            f"_manifests/revisions/sha256/{value}",
            *(f"_layers/sha256/{layer}" for layer in layers),
        ):
            if not (links / path / "link").is_file():
                found.append(f"no link: {repository}/{path}")
    return found


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _named(body: dict[str, Any]) -> set[str]:
    parts = body["manifests"] if "manifests" in body else [body["config"], *body["layers"]]
    return {part["digest"] for part in parts}


def _stored_layers(body: dict[str, Any]) -> list[str]:
    parts = [body["config"], *body["layers"]]
    return [part["digest"].removeprefix("sha256:") for part in parts if "foreign" not in part["mediaType"]]


def _foreign_keys(connection: Connection) -> dict[str, str]:
    """For each foreign key a query for rows that break it: bulk rows were filled without looking."""
    found = connection.execute(
        "SELECT c.conrelid::regclass::text, a.attname, c.confrelid::regclass::text, f.attname"
        " FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
        " JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = c.confkey[1] WHERE c.contype = 'f'"
    ).fetchall()
    return {
        f"{table}.{column}": f"SELECT t.{column}::text FROM {table} t"
        f" LEFT JOIN {other} o ON o.{key} = t.{column}"
        f" WHERE t.{column} IS NOT NULL AND o.{key} IS NULL"
        for table, column, other, key in found
    }
