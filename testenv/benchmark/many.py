"""A registry of a million tiny blobs: what is measured is not bytes, but names."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from testenv import creation, sizes
from testenv import site as sites

if TYPE_CHECKING:
    from pathlib import Path

    from psycopg import Connection

    from testenv.site import Site

# ext4 lets a file have 65,000 names.
_NAMES_PER_FILE = 50_000
_CONTENT = b"a tiny blob\n"
_PREFIX = "many"

# Every artifact has its own manifest among the blobs, and shares layers with others.
_TABLES = """
ALTER TABLE artifact_blob DROP CONSTRAINT artifact_blob_digest_af_digest_blob_key;
DROP INDEX idx_artifact_blob_digest_blob;
CREATE TEMPORARY TABLE made AS
SELECT g, 'sha256:' || encode(sha256(convert_to('{prefix}' || g, 'UTF8')), 'hex') AS digest
FROM generate_series(0, {blobs} - 1) g;
CREATE UNIQUE INDEX ON made (g);
ANALYZE made;
INSERT INTO blob (digest, content_type, size)
SELECT digest, 'application/vnd.oci.image.layer.v1.tar+gzip', {size} FROM made;
INSERT INTO artifact (project_id, repository_name, digest, type, repository_id, media_type,
    manifest_media_type, size, artifact_type)
SELECT r.project_id, r.name, m.digest, 'IMAGE', r.repository_id, '',
    'application/vnd.oci.image.manifest.v1+json', {size}, ''
FROM made m, (SELECT * FROM repository ORDER BY repository_id LIMIT 1) r WHERE m.g < {artifacts};
INSERT INTO artifact_blob (digest_af, digest_blob)
SELECT a.digest, b.digest FROM generate_series(0, {rows} - 1) n
    JOIN made a ON a.g = n % {artifacts}
    JOIN made b ON b.g = CASE n / {artifacts} WHEN 0 THEN n % {artifacts}
        ELSE {artifacts} + (n % {artifacts} * 3 + n / {artifacts}) % ({blobs} - {artifacts}) END;
INSERT INTO project_blob (project_id, blob_id)
SELECT r.project_id, b.id FROM made m JOIN blob b USING (digest),
    (SELECT * FROM repository ORDER BY repository_id LIMIT 1) r;
CREATE UNIQUE INDEX artifact_blob_digest_af_digest_blob_key ON artifact_blob (digest_af, digest_blob);
CREATE INDEX idx_artifact_blob_digest_blob ON artifact_blob (digest_blob);
"""


@dataclass(frozen=True)
class Counts:
    """How many blobs there are, and how many rows that say which artifact needs which."""

    blobs: int
    rows: int

    @property
    def artifacts(self) -> int:
        """Every fourth blob is the manifest of one."""
        return self.blobs // 4


def create(directory: Path, counts: Counts) -> Site:
    """A small site with that much more in it; what is in the blobs is not what their names say."""
    site = creation.create(directory, sizes.TINY)
    try:
        write_blobs(site.blobs, counts.blobs)
        with sites.connect(site) as connection:
            write_rows(connection, counts)
    except BaseException:
        sites.destroy(directory)
        raise
    return site


def write_blobs(root: Path, count: int) -> None:
    """So many blobs, each a name of one of a few files: that is quicker by far than a file each."""
    store = root / "docker/registry/v2/blobs/sha256"
    for number in range(256):
        (store / f"{number:02x}").mkdir(parents=True, exist_ok=True)
    starts = range(0, count, _NAMES_PER_FILE)
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(_write_share, os.fspath(store), count), starts))


def _write_share(store: str, count: int, start: int) -> None:
    first = ""
    for number in range(start, min(start + _NAMES_PER_FILE, count)):
        digits = hashlib.sha256(f"{_PREFIX}{number}".encode()).hexdigest()
        directory = f"{store}/{digits[:2]}/{digits}"
        os.mkdir(directory)  # noqa: PTH102 - a million Paths take longer than the directories
        if first:
            os.link(first, f"{directory}/data")
            continue
        first = f"{directory}/data"
        with open(first, "wb") as file:  # noqa: PTH123
            file.write(_CONTENT)


def write_rows(connection: Connection, counts: Counts) -> None:
    """The rows of those blobs, and of the artifacts that need them."""
    text = _TABLES.format(
        prefix=_PREFIX,
        blobs=counts.blobs,
        artifacts=counts.artifacts,
        rows=counts.rows,
        size=len(_CONTENT),
    )
    connection.execute(
        "SET work_mem = '256MB'; SET maintenance_work_mem = '512MB'; SET max_parallel_maintenance_workers = 0"
    )
    connection.execute("SET session_replication_role = replica")
    connection.execute(text.encode())
    connection.execute("RESET session_replication_role")
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM (ANALYZE)")
    connection.execute("CHECKPOINT")
