"""The rows that Harbor writes when an image is pushed.

Read in Harbor's source: the blob, artifact, cosign and subject middlewares. An artifact's blobs are all that
its manifest names (of an index, the manifests of its children) and the manifest itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    import datetime

    from psycopg import Connection

    from testenv.content import Manifest


@dataclass(frozen=True)
class Pushed:
    """A manifest that the registry has accepted."""

    repository: str
    manifest: Manifest
    tags: tuple[str, ...] = ()
    extra_attrs: str = "{}"


def record(connection: Connection, pushed: Pushed, when: datetime.datetime) -> int:
    """Write all rows for one push; its project must be there. Returns the artifact's id."""
    project_id = project_of(connection, pushed.repository)
    repository_id = _repository(connection, pushed.repository, project_id, when)
    _blobs(connection, pushed.manifest, project_id, when)
    artifact_id = _artifact(connection, pushed, project_id, repository_id, when)
    if pushed.manifest.is_index:
        _references(connection, pushed.manifest, artifact_id, repository_id)
    for tag in pushed.tags:
        connection.execute(
            "INSERT INTO tag (repository_id, artifact_id, name, push_time) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (repository_id, name) DO UPDATE"
            " SET artifact_id = excluded.artifact_id, push_time = excluded.push_time",
            (repository_id, artifact_id, tag, when),
        )
    return artifact_id


def record_accessory(
    connection: Connection, accessory_id: int, kind: str, subject: str, when: datetime.datetime
) -> None:
    """Write that an artifact is a signature or an SBOM of another of its repository."""
    connection.execute(
        "INSERT INTO artifact_accessory (artifact_id, subject_artifact_id, type, size, digest, creation_time,"
        "   subject_artifact_digest, subject_artifact_repo)"
        " SELECT own.id, subject.id, %s, own.size, own.digest, %s, subject.digest, own.repository_name"
        " FROM artifact own JOIN artifact subject USING (repository_id)"
        " WHERE own.id = %s AND subject.digest = %s",
        (kind, when, accessory_id, subject),
    )


def project_of(connection: Connection, repository: str) -> int:
    """The id of the project that a repository belongs to."""
    name = repository.split("/", maxsplit=1)[0]
    return _one(connection.execute("SELECT project_id FROM project WHERE name = %s", (name,)).fetchone())


def refresh_quotas(connection: Connection) -> None:
    """Set every project's used storage to the sum of its blobs, without the foreign ones."""
    connection.execute(
        "UPDATE quota_usage u SET used = jsonb_build_object('storage', coalesce(("
        "   SELECT sum(b.size) FROM project_blob pb JOIN blob b ON b.id = pb.blob_id"
        "   WHERE pb.project_id = u.reference_id::int AND b.content_type NOT LIKE '%.foreign.%'), 0))"
        " WHERE reference = 'project'"
    )


def _repository(connection: Connection, name: str, project_id: int, when: datetime.datetime) -> int:
    connection.execute(
        "INSERT INTO repository (name, project_id, creation_time, update_time) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (name) DO NOTHING",
        (name, project_id, when, when),
    )
    return _one(
        connection.execute("SELECT repository_id FROM repository WHERE name = %s", (name,)).fetchone()
    )


def _blobs(connection: Connection, manifest: Manifest, project_id: int, when: datetime.datetime) -> None:
    # Two layers of an image may be the same blob: the rows are unique all the same.
    blobs = {item.digest: item for item in (*manifest.references, manifest.descriptor())}.values()
    digests = [item.digest for item in blobs]
    connection.execute(
        "INSERT INTO blob (digest, content_type, size, creation_time, update_time)"
        " SELECT *, %s::timestamp, %s::timestamp FROM unnest(%s::text[], %s::text[], %s::bigint[])"
        " ON CONFLICT (digest) DO NOTHING",
        (when, when, digests, [item.media_type for item in blobs], [item.size for item in blobs]),
    )
    connection.execute(
        "INSERT INTO project_blob (project_id, blob_id, creation_time)"
        " SELECT %s, id, %s FROM blob WHERE digest = ANY (%s) ORDER BY id ON CONFLICT DO NOTHING",
        (project_id, when, digests),
    )
    connection.execute(
        "INSERT INTO artifact_blob (digest_af, digest_blob, creation_time)"
        " SELECT %s, unnest(%s::text[]), %s ON CONFLICT DO NOTHING",
        (manifest.digest, digests, when),
    )


def _artifact(
    connection: Connection, pushed: Pushed, project_id: int, repository_id: int, when: datetime.datetime
) -> int:
    manifest = pushed.manifest
    size = len(manifest.content)
    if manifest.is_index:
        children = [child.digest for child in manifest.references]
        size += _one(
            connection.execute(
                "SELECT sum(size)::bigint FROM artifact WHERE repository_id = %s AND digest = ANY (%s)",
                (repository_id, children),
            ).fetchone()
        )
    else:
        size += sum(item.size for item in manifest.references)
    connection.execute(
        "INSERT INTO artifact (project_id, repository_name, digest, type, push_time, repository_id,"
        "   media_type, manifest_media_type, size, extra_attrs, annotations, artifact_type)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (
            project_id, pushed.repository, manifest.digest, _kind(manifest.config_media_type), when,
            repository_id, manifest.config_media_type, manifest.media_type, size, pushed.extra_attrs, None,
            "" if manifest.is_index else manifest.config_media_type,
        ),
    )  # fmt: skip
    found = connection.execute(
        "SELECT id FROM artifact WHERE repository_id = %s AND digest = %s", (repository_id, manifest.digest)
    )
    return _one(found.fetchone())


def _references(connection: Connection, manifest: Manifest, parent_id: int, repository_id: int) -> None:
    for child in manifest.references:
        platform = dict(child.extra).get("platform")
        connection.execute(
            "INSERT INTO artifact_reference (parent_id, child_id, child_digest, platform, urls, annotations)"
            " SELECT %s, id, digest, %s, '', %s FROM artifact WHERE repository_id = %s AND digest = %s"
            " ON CONFLICT DO NOTHING",
            (parent_id, json.dumps(platform), Jsonb(None), repository_id, child.digest),
        )


def _kind(config_media_type: str) -> str:
    """artifact.type: what Harbor makes of the configuration's media type."""
    if config_media_type.startswith(("application/vnd.oci.image", "application/vnd.docker.container.image")):
        return "IMAGE"
    return "SBOM" if "sbom" in config_media_type else "UNKNOWN"


def _one(row: tuple[object, ...] | None) -> int:
    if row is None or not isinstance(row[0], int):
        raise LookupError("a row that must be there is not")
    return row[0]
