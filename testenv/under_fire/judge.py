"""The judge: is a point whole? Asked of the repository's own data, by other means than drkit's.

The dump is loaded into a scratch database by plain pg_restore, the storage tree is read by plain restic, and
what rows and manifests refer to is looked for among the files. It knows nothing of drkit's closure.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from testenv import site as sites
from testenv.under_fire import deletion, migrations
from testenv.under_fire.stored import read_directory

if TYPE_CHECKING:
    from psycopg import Connection

    from testenv.site import Site
    from testenv.under_fire.scratch import Scratch
    from testenv.under_fire.stored import Repository, Tree

_FOREIGN = "%.foreign.%"

# Digest, what names it, size and status where known, whether it is foreign and so stored nowhere, and whether
# a proxy cache may not have fetched it.
_NEEDED = f"""
    SELECT ab.digest_blob, 'artifact_blob', b.size, b.status,
        coalesce(b.content_type LIKE '{_FOREIGN}', false), coalesce(p.registry_id, 0) <> 0
    FROM artifact a JOIN artifact_blob ab ON ab.digest_af = a.digest JOIN project p USING (project_id)
        LEFT JOIN blob b ON b.digest = ab.digest_blob
    UNION
    SELECT a.digest, 'artifact', b.size, b.status, false, coalesce(p.registry_id, 0) <> 0
    FROM artifact a JOIN project p USING (project_id) LEFT JOIN blob b USING (digest)
    UNION
    SELECT r.child_digest, 'artifact_reference', NULL, NULL, false, false FROM artifact_reference r
    UNION
    SELECT c.digest, 'artifact_accessory', NULL, NULL, false, false FROM artifact_accessory c
    UNION
    SELECT s.digest, 'system_artifact', s.size, NULL, false, false FROM system_artifact s"""

_TORN = {
    "artifact_blob of an artifact names a blob without a row": """
        SELECT ab.digest_blob FROM artifact a JOIN artifact_blob ab ON ab.digest_af = a.digest
            LEFT JOIN blob b ON b.digest = ab.digest_blob WHERE b.id IS NULL""",
    "blob of an artifact that its project does not have": """
        SELECT b.digest FROM artifact a JOIN artifact_blob ab ON ab.digest_af = a.digest
            JOIN blob b ON b.digest = ab.digest_blob
            LEFT JOIN project_blob pb ON pb.blob_id = b.id AND pb.project_id = a.project_id
        WHERE pb.id IS NULL""",
    "artifact without its own artifact_blob row": """
        SELECT a.digest FROM artifact a LEFT JOIN artifact_blob ab ON ab.digest_af = a.digest
            AND ab.digest_blob = a.digest WHERE ab.id IS NULL""",
    "artifact without repository": """
        SELECT a.digest FROM artifact a LEFT JOIN repository r ON r.repository_id = a.repository_id
            AND r.name = a.repository_name WHERE r.name IS NULL""",
    "tag of another repository's artifact": """
        SELECT t.name FROM tag t LEFT JOIN artifact a ON a.id = t.artifact_id
            AND a.repository_id = t.repository_id WHERE a.id IS NULL""",
    "the audit log and the artifacts are of two moments": f"""
        WITH log AS (SELECT resource, sum(CASE operation WHEN 'create' THEN 1 ELSE -1 END) AS there
                     FROM audit_log WHERE username = '{deletion.WITNESS}' GROUP BY resource),
            now AS (SELECT repository_name || '@' || digest AS resource, 1 AS there FROM artifact
                    WHERE repository_name LIKE 'fire-%')
        SELECT resource FROM log FULL JOIN now USING (resource)
        WHERE coalesce(log.there, 0) <> coalesce(now.there, 0)""",
}  # fmt: skip


class Judge:
    """Looks at points of one repository; `dump` is the file's path in the database's snapshot."""

    def __init__(
        self, repository: Repository, scratch: Scratch, root: str, dump: str = "registry.dump"
    ) -> None:
        self._repository, self._scratch, self._root, self._dump = repository, scratch, root, dump

    def point(self, point: str) -> list[str]:
        """What is wrong with a sealed point."""
        parts = self._repository.parts(point)
        wanted = (f"database:{self._dump.removesuffix('.dump')}", "blobs:blobs")
        missing = [f"there is no {name}" for name in wanted if name not in parts]
        return missing or self.parts(*(parts[name] for name in wanted))

    def parts(self, database: str, blobs: str) -> list[str]:
        """What is wrong with a dump and a storage tree that claim to belong together."""
        archive = self._scratch.directory / "archive.dump"
        self._repository.save(database, f"/{self._dump}", archive)
        try:
            with self._scratch.restored(archive) as connection:
                return self._compare(connection, blobs)
        except subprocess.CalledProcessError as error:
            return [f"the dump cannot be restored: {error.stderr[-500:]}"]

    def _compare(self, connection: Connection, blobs: str) -> list[str]:
        tree = self._repository.read_tree(blobs, self._root, _manifests(connection))
        return compare(connection, tree)


def production(site: Site) -> list[str]:
    """The same of a site that nobody writes to: what is wrong there is not a backup's fault."""
    with sites.connect(site) as connection:
        return compare(connection, read_directory(site.blobs, _manifests(connection)))


def compare(connection: Connection, tree: Tree) -> list[str]:
    """What is wrong with rows and files that claim to belong together."""
    torn = [
        f"{name}: {row[0]}"
        for name, query in _TORN.items()
        for row in connection.execute(query.encode()).fetchall()
    ]
    return [
        *torn,
        *migrations.wrong_schema(connection),
        *wrong_blobs(connection, tree),
        *wrong_manifests(connection, tree),
    ]


def _manifests(connection: Connection) -> set[str]:
    return {digest for (digest,) in connection.execute("SELECT digest FROM artifact").fetchall()}


def wrong_blobs(connection: Connection, tree: Tree) -> list[str]:
    """What rows refer to and files do not give."""
    found = [f"hash: {digest}" for digest in tree.wrong]
    for digest, source, size, status, foreign, proxy in connection.execute(_NEEDED.encode()):
        if foreign:
            continue
        if digest not in tree.sizes:
            found += [] if proxy and source == "artifact_blob" else [f"missing: {digest} of {source}"]
        elif size is not None and tree.sizes[digest] != size:
            found.append(f"size: {digest} of {source}")
        if status == "deleting":
            found.append(f"being deleted: {digest} of {source}")
    return found


def wrong_manifests(connection: Connection, tree: Tree) -> list[str]:
    """What the bytes of manifests name, and rows, files or links do not have."""
    names: dict[str, set[str]] = {}
    for digest, blob in connection.execute("SELECT digest_af, digest_blob FROM artifact_blob"):
        names.setdefault(digest, set()).add(blob)
    found = []
    for digest, repository in connection.execute("SELECT digest, repository_name FROM artifact").fetchall():
        if digest not in tree.manifests:
            continue  # told by wrong_blobs
        body = json.loads(tree.manifests[digest])
        parts = body["manifests"] if "manifests" in body else [body["config"], *body["layers"]]
        stored = [part["digest"] for part in parts if ".foreign." not in part["mediaType"]]
        if names.get(digest) != {digest, *(part["digest"] for part in parts)}:
            found.append(f"rows and manifest differ: {digest}")
        found += [f"missing: {name} of manifest {digest}" for name in stored if name not in tree.sizes]
        layers = [] if "manifests" in body else stored
        wanted = {f"{repository}/_layers/{name.replace(':', '/')}": name for name in layers}
        wanted[f"{repository}/_manifests/revisions/{digest.replace(':', '/')}"] = digest
        for path, content in wanted.items():
            if tree.links.get(path) != content:
                found.append(f"link: {path} holds {tree.links.get(path)!r}")
    return found
