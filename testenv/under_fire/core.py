"""What Harbor's core does between a client, the storage and the database, in its own order.

A push writes storage first and rows second; a deletion removes rows alone, and leaves the storage to garbage
collection. Read in Harbor's source: the blob middlewares (head_blob, put_blob_upload, put_manifest,
probeBlob), server/registry/manifest.go, controller/artifact, pkg/blob/dao.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import httpx
import psycopg

from testenv import rows
from testenv.push import UnexpectedAnswerError
from testenv.rows import Pushed
from testenv.under_fire import deletion
from testenv.under_fire.connected import Connected

if TYPE_CHECKING:
    from testenv.content import Manifest
    from testenv.site import Site
    from testenv.under_fire.traffic import Traffic


class RefusedError(RuntimeError):
    """Harbor would answer with an error here; a client tries again later, or gives up."""


class Core(Connected):
    """One thread's connections to storage and database."""

    def __init__(self, site: Site, traffic: Traffic) -> None:
        super().__init__(site)
        self.traffic = traffic

    def has_blob(self, repository: str, digest: str) -> bool:
        """HEAD of a blob: one that is there is touched, one that is being collected is not there."""
        found = self.connection.execute("SELECT status FROM blob WHERE digest = %s", (digest,)).fetchone()
        if found is None or found[0] not in ("none", "delete"):
            return False
        return self._touch(digest) and self._pusher.has_blob(repository, digest)

    def put_blob(self, repository: str, digest: str, content: bytes) -> None:
        """Upload a blob, then write its row and that the project has it."""
        self._probe(digest)
        self._pusher.blob(repository, digest, content)
        with self.connection.transaction():
            self.connection.execute(
                "INSERT INTO blob (digest, content_type, size)"
                " VALUES (%s, 'application/octet-stream', %s) ON CONFLICT (digest) DO NOTHING",
                (digest, len(content)),
            )
            self.connection.execute(
                "INSERT INTO project_blob (project_id, blob_id)"
                " SELECT p.project_id, b.id FROM project p, blob b WHERE p.name = %s AND b.digest = %s"
                " ON CONFLICT DO NOTHING",
                (repository.split("/", maxsplit=1)[0], digest),
            )

    def put_manifest(self, repository: str, manifest: Manifest, tag: str | None = None) -> None:
        """Upload a manifest, then write all its rows; one transaction, as Harbor has one for each request."""
        with self.traffic.alone_in(repository.split("/", maxsplit=1)[0]), self.connection.transaction():
            self._probe(manifest.digest)
            if manifest.is_index and not all(
                self._artifact_id(repository, c.digest) for c in manifest.references
            ):
                raise RefusedError("a child of the index is not there (any more)")
            new = not self._artifact_id(repository, manifest.digest)
            try:
                self._pusher.manifest(repository, manifest, tag)
            except UnexpectedAnswerError as error:
                if error.status != httpx.codes.INTERNAL_SERVER_ERROR:
                    raise
                # It makes a tag's directories one by one, and a deletion may take one away in between.
                raise RefusedError("the registry stumbled over a deletion") from None
            now = datetime.datetime.now(datetime.UTC)
            rows.record(self.connection, Pushed(repository, manifest, (tag,) if tag else ()), now)
            self.connection.execute(
                "UPDATE blob b SET content_type = n.type, update_time = localtimestamp"
                " FROM unnest(%s::text[], %s::text[]) n (digest, type)"
                " WHERE b.digest = n.digest AND b.content_type <> n.type",
                (
                    [item.digest for item in manifest.references],
                    [item.media_type for item in manifest.references],
                ),
            )
            if new:
                deletion.witness(self.connection, "create", repository, manifest.digest)

    def tag(self, artifact: int, name: str) -> None:
        """Give an artifact one more tag, or take that tag from another artifact of its repository.

        RefusedError if the artifact is deleted meanwhile.
        """
        try:
            self.connection.execute(
                "INSERT INTO tag (repository_id, artifact_id, name, push_time)"
                " SELECT repository_id, id, %s, localtimestamp FROM artifact WHERE id = %s"
                " ON CONFLICT (repository_id, name) DO UPDATE"
                " SET artifact_id = excluded.artifact_id, push_time = excluded.push_time",
                (name, artifact),
            )
        except psycopg.errors.ForeignKeyViolation:
            raise RefusedError("the artifact is not there (any more)") from None

    def delete_tag(self, tag: int) -> None:
        """Remove a tag; its artifact stays."""
        self.connection.execute("DELETE FROM tag WHERE id = %s", (tag,))

    def delete_artifact(self, artifact: int, project: str) -> int:
        """Remove an artifact with its tags, accessories and orphaned children; returns how many went.

        RefusedError if an index refers to it, or it gets a tag meanwhile.
        """
        try:
            with self.traffic.alone_in(project), self.connection.transaction():
                if deletion.is_child(self.connection, artifact):
                    raise RefusedError("an index refers to the artifact")
                return deletion.delete(self.connection, artifact)
        except psycopg.errors.ForeignKeyViolation:
            raise RefusedError("the artifact has got a tag meanwhile") from None

    def _artifact_id(self, repository: str, digest: str) -> int | None:
        found = self.connection.execute(
            "SELECT id FROM artifact WHERE repository_name = %s AND digest = %s", (repository, digest)
        ).fetchone()
        return found[0] if found else None

    def _probe(self, digest: str) -> None:
        """Take a blob back from garbage collection before it is written; refused if its files are going."""
        found = self.connection.execute("SELECT status FROM blob WHERE digest = %s", (digest,)).fetchone()
        if found is not None and not self._touch(digest):
            raise RefusedError("the asking blob is in GC")

    def _touch(self, digest: str) -> bool:
        """The version goes up, so that a collector that has seen an older one leaves the blob alone."""
        done = self.connection.execute(
            "UPDATE blob SET version = version + 1, update_time = clock_timestamp(), status = 'none'"
            " WHERE digest = %s AND status IN ('none', 'delete', 'deletefailed')",
            (digest,),
        )
        return done.rowcount == 1
