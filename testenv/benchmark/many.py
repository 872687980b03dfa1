"""A registry of a million tiny blobs: what is measured is not bytes, but names."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from testenv import content, creation, sizes
from testenv import site as sites

if TYPE_CHECKING:
    from pathlib import Path

    from psycopg import Connection

    from testenv.site import Site

# ext4 lets a file have 65,000 names.
_NAMES_PER_FILE = 50_000
_MANIFESTS_A_SHARE = 5_000
_CONTENT = b"a tiny blob\n"
_PREFIX = "many"

_TABLES = """
ALTER TABLE artifact_blob DROP CONSTRAINT artifact_blob_digest_af_digest_blob_key;
DROP INDEX idx_artifact_blob_digest_blob;
CREATE TEMPORARY TABLE layer AS
SELECT g, 'sha256:' || encode(sha256(convert_to('{prefix}' || g, 'UTF8')), 'hex') AS digest
FROM generate_series(0, {layers} - 1) g;
CREATE UNIQUE INDEX ON layer (g);
ANALYZE layer, made;
INSERT INTO blob (digest, content_type, size) SELECT digest, '{layer_type}', {size} FROM layer
UNION ALL SELECT digest, '{manifest_type}', size FROM made;
INSERT INTO artifact (project_id, repository_name, digest, type, repository_id, media_type,
    manifest_media_type, size, artifact_type)
SELECT r.project_id, r.name, m.digest, 'IMAGE', r.repository_id, '', '{manifest_type}', m.size, ''
FROM made m, (SELECT * FROM repository ORDER BY repository_id LIMIT 1) r;
INSERT INTO artifact_blob (digest_af, digest_blob)
SELECT m.digest, l.digest FROM made m, generate_series(0, {each} - 2) k
    JOIN LATERAL (SELECT digest FROM layer WHERE g = (m.g * {step} + k) % {layers}) l ON true
UNION ALL SELECT digest, digest FROM made;
INSERT INTO project_blob (project_id, blob_id)
SELECT r.project_id, b.id FROM (SELECT digest FROM layer UNION ALL SELECT digest FROM made) m
    JOIN blob b USING (digest), (SELECT * FROM repository ORDER BY repository_id LIMIT 1) r;
CREATE UNIQUE INDEX artifact_blob_digest_af_digest_blob_key ON artifact_blob (digest_af, digest_blob);
CREATE INDEX idx_artifact_blob_digest_blob ON artifact_blob (digest_blob);
"""


@dataclass(frozen=True)
class Counts:
    """How many blobs there are, and how many rows that say which image needs which."""

    blobs: int
    rows: int

    @property
    def images(self) -> int:
        """A twentieth of the blobs are manifests."""
        return max(1, self.blobs // 20)

    @property
    def layers(self) -> int:
        """All others."""
        return self.blobs - self.images

    @property
    def each(self) -> int:
        """The rows of one image: its layers, and one for the manifest itself."""
        return self.rows // self.images

    @property
    def step(self) -> int:
        """From the first layer of an image to the first of the next: so every layer belongs to one."""
        return self.layers // self.images


def create(directory: Path, counts: Counts) -> Site:
    """A small site with that much more in it.

    The manifests are real, the layers are not: a file of a few bytes under many names.
    """
    site = creation.create(directory, sizes.TINY)
    try:
        write_layers(site.blobs, counts)
        made = write_manifests(site.blobs, counts)
        with sites.connect(site) as connection:
            write_rows(connection, counts, made)
    except BaseException:
        sites.destroy(directory)
        raise
    return site


def write_layers(root: Path, counts: Counts) -> None:
    """So many layers, each a name of one of a few files: that is quicker by far than a file each."""
    store = root / "docker/registry/v2/blobs/sha256"
    for number in range(256):
        (store / f"{number:02x}").mkdir(parents=True, exist_ok=True)
    starts = range(0, counts.layers, _NAMES_PER_FILE)
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(_write_share, os.fspath(store), counts.layers), starts))


def write_manifests(root: Path, counts: Counts) -> list[tuple[int, str, int]]:
    """The manifest of every image; returns number, digest and size of each."""
    store = os.fspath(root / "docker/registry/v2/blobs/sha256")
    starts = range(0, counts.images, _MANIFESTS_A_SHARE)
    with ProcessPoolExecutor() as pool:
        shares = pool.map(partial(_write_manifest_share, store, counts), starts)
        return [made for share in shares for made in share]


def write_links(root: Path, repository: str, counts: Counts, manifests: list[str]) -> None:
    """A link to every layer, and to every manifest, as a registry's own repository has them."""
    top = root / "docker/registry/v2/repositories" / repository
    layers, revisions = top / "_layers/sha256", top / "_manifests/revisions/sha256"
    for directory in (layers, revisions):
        directory.mkdir(parents=True, exist_ok=True)
    starts = range(0, counts.layers, _NAMES_PER_FILE)
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(_write_link_share, os.fspath(layers), counts.layers), starts))
    for digest in manifests:
        _write_link(os.fspath(revisions), digest.partition(":")[2])


def _write_link_share(directory: str, count: int, start: int) -> None:
    for number in range(start, min(start + _NAMES_PER_FILE, count)):
        _write_link(directory, _digits(number))


def _write_link(directory: str, digits: str) -> None:
    os.mkdir(f"{directory}/{digits}")  # noqa: PTH102
    _write(f"{directory}/{digits}/link", f"sha256:{digits}".encode())


def _write_share(store: str, count: int, start: int) -> None:
    first = ""
    for number in range(start, min(start + _NAMES_PER_FILE, count)):
        digits = _digits(number)
        directory = f"{store}/{digits[:2]}/{digits}"
        os.mkdir(directory)  # noqa: PTH102 - a million Paths take longer than the directories
        if first:
            os.link(first, f"{directory}/data")
            continue
        first = f"{directory}/data"
        _write(first, _CONTENT)


def _write_manifest_share(store: str, counts: Counts, start: int) -> list[tuple[int, str, int]]:
    made = []
    for number in range(start, min(start + _MANIFESTS_A_SHARE, counts.images)):
        layers = (_digits((number * counts.step + k) % counts.layers) for k in range(counts.each - 1))
        entries = ",".join(_entry(digits) for digits in layers)
        data = f'{{"schemaVersion":2,"mediaType":"{content.OCI_MANIFEST}","layers":[{entries}]}}'.encode()
        digits = hashlib.sha256(data).hexdigest()
        os.mkdir(f"{store}/{digits[:2]}/{digits}")  # noqa: PTH102
        _write(f"{store}/{digits[:2]}/{digits}/data", data)
        made.append((number, f"sha256:{digits}", len(data)))
    return made


def _entry(digits: str) -> str:
    return f'{{"mediaType":"{content.OCI_LAYER}","size":{len(_CONTENT)},"digest":"sha256:{digits}"}}'


def _digits(number: int) -> str:
    return hashlib.sha256(f"{_PREFIX}{number}".encode()).hexdigest()


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(data)


def write_rows(connection: Connection, counts: Counts, made: list[tuple[int, str, int]]) -> None:
    """The rows of those blobs, and of the images that need them."""
    text = _TABLES.format(
        prefix=_PREFIX,
        layers=counts.layers,
        each=counts.each,
        step=counts.step,
        size=len(_CONTENT),
        layer_type=content.OCI_LAYER,
        manifest_type=content.OCI_MANIFEST,
    )
    # Parallel workers need more shared memory than every machine has.
    connection.execute(
        "SET work_mem = '256MB'; SET maintenance_work_mem = '512MB';"
        " SET max_parallel_maintenance_workers = 0; SET session_replication_role = replica"
    )
    connection.execute("CREATE TEMPORARY TABLE made (g int, digest text, size bigint)")
    with connection.cursor() as cursor, cursor.copy("COPY made FROM STDIN") as copy:
        for row in made:
            copy.write_row(row)
    connection.execute(text.encode())
    connection.execute("RESET session_replication_role")
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM (ANALYZE)")
    connection.execute("CHECKPOINT")
