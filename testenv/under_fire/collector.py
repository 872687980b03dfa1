"""Garbage collection by Harbor's rules, as its jobservice runs it.

Read in Harbor's source, jobservice/job/impl/gc and pkg/task: an execution and a task tell of the run;
untagged artifacts are deleted; a project loses blobs that no artifact of it needs; blobs that no project has
and that nobody touched for a while are marked `delete`, then one after another `deleting`; then files go, and
last the row. A version that has changed meanwhile means that a client has taken the blob back.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from testenv import content, damage
from testenv.push import MANIFEST_TYPES, UnexpectedAnswerError
from testenv.under_fire import deletion
from testenv.under_fire.connected import Connected

if TYPE_CHECKING:
    from testenv.site import Site
    from testenv.under_fire.traffic import Traffic


@dataclass(frozen=True)
class _Candidate:
    id: int
    digest: str
    content_type: str
    version: int


class Collector(Connected):
    """One collector; `window` and `pause` (after each blob, to make a sweep long) are seconds."""

    def __init__(self, site: Site, traffic: Traffic, *, window: float, pause: float = 0.0) -> None:
        super().__init__(site)
        self._site, self._traffic = site, traffic
        self._window, self._pause = window, pause

    def collect(self) -> int:
        """One run from its first row to its last; returns how many blobs were deleted."""
        with self._traffic.collection():
            return self._collect()

    def _collect(self) -> int:
        execution = self._begin()
        ended, deleted = "Error", 0
        try:
            settled = self._traffic.settled(self._window)
            self._delete_untagged(settled)
            self._clean_projects(settled)
            marked = self._mark(settled)
            deleted = sum(self._sweep(candidate) for candidate in marked)
            ended = "Success"
        finally:
            self._end(execution, ended, deleted)
        self._traffic.count("blobs collected", deleted)
        return deleted

    def _begin(self) -> int:
        attributes = {"delete_untagged": True, "dry_run": False, "time_window": 2, "workers": 1}
        row = self.connection.execute(
            "INSERT INTO execution (vendor_type, vendor_id, status, status_message, trigger, extra_attrs,"
            "   start_time, update_time, revision)"
            " VALUES ('GARBAGE_COLLECTION', -1, 'Running', '', 'SCHEDULE', %s, now(), now(), 0) RETURNING id",
            (json.dumps(attributes),),
        ).fetchone()
        assert row is not None
        self.connection.execute(
            "INSERT INTO task (execution_id, job_id, status, status_code, run_count, vendor_type,"
            "   extra_attrs, start_time, update_time)"
            " VALUES (%s, md5(%s::text), 'Running', 1, 1, 'GARBAGE_COLLECTION', '{}', now(), now())",
            (row[0], row[0]),
        )
        return int(row[0])

    def _end(self, execution: int, status: str, deleted: int) -> None:
        """The task ends first; the execution takes over its end a little later, as Harbor's does."""
        self.connection.execute(
            "UPDATE task SET status = %s, status_code = 3, end_time = now(), update_time = now(),"
            "   extra_attrs = %s WHERE execution_id = %s",
            (status, json.dumps({"purged_blobs": deleted}), execution),
        )
        time.sleep(self._pause)
        self.connection.execute(
            "UPDATE execution e SET status = t.status, end_time = t.end_time, update_time = now(),"
            "   revision = e.revision + 1 FROM task t WHERE t.execution_id = e.id AND e.id = %s",
            (execution,),
        )

    def _delete_untagged(self, settled: datetime.datetime) -> None:
        """Only what was pushed before the window: an index may be about to name its new child."""
        found = self.connection.execute(
            "SELECT a.id, p.name FROM artifact a JOIN project p USING (project_id)"
            " WHERE p.name LIKE 'fire-%%' AND a.push_time <= %s"
            "   AND NOT EXISTS (SELECT FROM tag t WHERE t.artifact_id = a.id)"
            "   AND NOT EXISTS (SELECT FROM artifact_reference r WHERE r.child_id = a.id)"
            "   AND NOT EXISTS (SELECT FROM artifact_accessory c WHERE c.artifact_id = a.id)",
            (settled,),
        ).fetchall()
        for artifact, project in found:
            # One that fails is left for the next run: somebody has given it a tag.
            with (
                contextlib.suppress(psycopg.errors.ForeignKeyViolation),
                self._traffic.alone_in(project),
                self.connection.transaction(),
            ):
                if not self._in_use_again(artifact):
                    gone = deletion.delete(self.connection, artifact)
                    self._traffic.count("untagged artifacts deleted", gone)

    def _in_use_again(self, artifact: int) -> bool:
        found = self.connection.execute(
            "SELECT 1 FROM tag WHERE artifact_id = %(id)s"
            " UNION ALL SELECT 1 FROM artifact_reference WHERE child_id = %(id)s LIMIT 1",
            {"id": artifact},
        )
        return found.fetchone() is not None

    def _clean_projects(self, settled: datetime.datetime) -> None:
        projects = self.connection.execute("SELECT project_id, name FROM project ORDER BY 1").fetchall()
        for project, name in projects:
            with self._traffic.alone_in(name):
                self.connection.execute(
                    "DELETE FROM project_blob pb USING blob b WHERE pb.project_id = %(project)s"
                    " AND b.id = pb.blob_id AND b.update_time <= %(settled)s"
                    " AND NOT EXISTS (SELECT FROM artifact a JOIN artifact_blob ab ON ab.digest_af = a.digest"
                    "                 WHERE a.project_id = %(project)s AND ab.digest_blob = b.digest)",
                    {"project": project, "settled": settled},
                )

    def _mark(self, settled: datetime.datetime) -> list[_Candidate]:
        """Candidates in the state `delete`, with the version that marking has given them."""
        found = self.connection.execute(
            "SELECT b.id, b.digest, b.content_type, b.version FROM blob b"
            " LEFT JOIN project_blob pb ON pb.blob_id = b.id WHERE pb.id IS NULL AND b.update_time <= %s",
            (settled,),
        ).fetchall()
        candidates = [_Candidate(*row) for row in found]
        return [
            _Candidate(one.id, one.digest, one.content_type, one.version + 1)
            for one in candidates
            if self._transition(one, "delete", ("none", "deletefailed"))
        ]

    def _sweep(self, blob: _Candidate) -> bool:
        """Delete one blob: manifests from their repositories, then the files, then the row."""
        if not self._transition(blob, "deleting", ("delete",)):
            return False
        try:
            self._remove(blob)
        except (psycopg.OperationalError, UnexpectedAnswerError):
            # A migration was in the way, or the registry stumbled over a tag that was just being written.
            # The next run tries again; a push meanwhile brings the files back.
            self._traffic.count("blobs that could not be collected")
            self.connection.execute("UPDATE blob SET status = 'deletefailed' WHERE id = %s", (blob.id,))
            return False
        time.sleep(self._pause)
        return True

    def _remove(self, blob: _Candidate) -> None:
        if blob.content_type in MANIFEST_TYPES:
            self._delete_manifest(blob.digest)
        if blob.content_type != content.FOREIGN_LAYER:
            shutil.rmtree(damage.blob_path(self._site, blob.digest).parent, ignore_errors=True)
        self.connection.execute("DELETE FROM blob WHERE id = %s", (blob.id,))

    def _transition(self, blob: _Candidate, status: str, before: tuple[str, ...]) -> bool:
        done = self.connection.execute(
            "UPDATE blob SET version = version + 1, update_time = clock_timestamp(), status = %s"
            " WHERE id = %s AND version = %s AND status = ANY (%s)",
            (status, blob.id, blob.version, list(before)),
        )
        return done.rowcount == 1

    def _delete_manifest(self, digest: str) -> None:
        """Tags and revisions in the storage of every repository that had it, then the rows about it."""
        trash = self.connection.execute(
            "SELECT t.id, t.repository_name FROM artifact_trash t WHERE t.digest = %s AND NOT EXISTS ("
            "   SELECT FROM artifact a WHERE a.repository_name = t.repository_name AND a.digest = t.digest)",
            (digest,),
        ).fetchall()
        for entry, repository in trash:
            self._pusher.delete_manifest(repository, digest)
            home = self._site.blobs / "docker/registry/v2/repositories" / repository
            shutil.rmtree(home / "_manifests/revisions" / digest.replace(":", "/"), ignore_errors=True)
            self.connection.execute("DELETE FROM artifact_blob WHERE digest_af = %s", (digest,))
            self.connection.execute("DELETE FROM artifact_trash WHERE id = %s", (entry,))
