"""What a recovery point says of itself in the repository: how it comes back without drkit.

Two files beside the manifest: RECOVERY.txt for a person, recover.sh for a POSIX shell. Everything that comes
from a site is quoted for where it stands, by default: a template has to ask for anything else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import PurePosixPath

from drkit.database import restore_needs, statements, swap
from drkit.model import BucketPlace, DatabaseEvidence, Part, PointManifest
from drkit.registry import storage
from drkit.reports.next_steps import next_steps
from drkit.reports.text import printable, quoted, shell_word, templates
from drkit.reports.units import size
from drkit.tools.postgres import sql, targets

TEXT = "RECOVERY.txt"
SCRIPT = "recover.sh"
_NO_PASSWORDS = "the database roles that were made"


@dataclass(frozen=True)
class _Database:
    """A database as the templates need it: SQL as text for psql, connection strings for libpq."""

    name: str
    major: int
    counted: int
    tablespaces: str
    tables: int
    rows: int
    dump: Part
    roles: Part
    conninfo: str
    beside_conninfo: str
    exists: str
    objects: str
    lacking: str
    lacking_in_place: str
    loader: str
    owns_all: str
    give: str
    clear: str
    create: str
    plain_create: str
    rights: str
    rights_in_place: str
    compare: str
    rename: str


@dataclass(frozen=True)
class _Vault:
    """Where the blobs of a bucket's point are, what lists them, and when they were all there."""

    place: BucketPlace
    source: BucketPlace
    inventory: Part
    links: Part
    moment: str

    @property
    def blobs(self) -> str:
        """What the vault's keys begin with."""
        return f"{self.place.prefix}/{storage.BLOBS}".lstrip("/")


@dataclass(frozen=True)
class _Lost:
    """Digests that manifests need, and neither production nor the list has; the first of them by name."""

    count: int
    names: str


@dataclass(frozen=True)
class _Blobs:
    """The blobs' snapshot, the folder in it that holds the root directory, and where that was."""

    snapshot: str
    tree: str
    folder: str
    name: str
    root: str
    target: str
    # Whether each repository is an OCI image layout.
    layouts: bool = False


def files(manifest: PointManifest, seal_tags: str) -> dict[str, str]:
    """Name -> text of the files that stand beside the manifest.

    `seal_tags` is restic's `--tag` filter for the snapshot that they are in, which nobody knows before.
    """
    facts = _facts(manifest) | {"seal_tags": seal_tags, "point_tag": seal_tags.partition(",")[0]}
    return {
        name: templates(finalize, size=size, sh=shell_word, json=json.dumps).get_template(name).render(facts)
        for name, finalize in ((TEXT, printable), (SCRIPT, quoted))
    }


def _facts(manifest: PointManifest) -> dict[str, object]:
    known = [each.role_passwords for each in manifest.databases]
    databases = [_database(manifest, number, each) for number, each in enumerate(manifest.databases, 1)]
    return {
        "manifest": manifest,
        "databases": databases,
        "newest_major": max((each.major for each in databases), default=0),
        "steps": next_steps(manifest, open_roles="" if all(known) else _NO_PASSWORDS),
        "passwords": all(known),
        "blobs": _blobs(manifest),
        "vault": _vault(manifest),
        "digests": manifest.part("digests"),
        "lost": _lost(manifest),
        "dangling": manifest.part("dangling"),
        "secrets": manifest.part("secrets"),
    }


def _database(manifest: PointManifest, number: int, evidence: DatabaseEvidence) -> _Database:
    name, beside = evidence.shape.database, f"drkit_recovering_{number}"
    quoted, text, compose = sql.identifier, sql.text, sql.compose
    return _Database(
        name=name,
        major=evidence.archive_major,
        counted=len(evidence.counted_only),
        tablespaces=_tablespaces(evidence.tablespaces),
        tables=len(evidence.tables),
        rows=evidence.rows,
        dump=manifest.need("database", evidence.name),
        roles=manifest.need("roles", evidence.name),
        conninfo=targets.connection_string(dbname=name),
        beside_conninfo=targets.connection_string(dbname=beside),
        exists=text(compose("SELECT 1 FROM pg_database WHERE datname = {name}", name=sql.literal(name))),
        objects=text(sql.fragment(swap.OBJECTS)),
        lacking=text(restore_needs.lacking_query(evidence, creates=True)),
        lacking_in_place=text(restore_needs.lacking_query(evidence, creates=False)),
        loader=text(restore_needs.loader_query(evidence)),
        owns_all=text(restore_needs.owns_all_query(evidence)),
        give=text(
            compose(
                "ALTER DATABASE {name} OWNER TO {owner}",
                name=quoted(name),
                owner=quoted(evidence.shape.owner),
            )
        ),
        clear=text(compose("DROP DATABASE IF EXISTS {name}", name=quoted(beside))),
        create=text(statements.creation(evidence.shape, beside)),
        plain_create=text(statements.creation(evidence.shape, name)),
        rights="\n".join(map(text, statements.rights(evidence.shape, beside))),
        rights_in_place="\n".join(map(text, statements.rights(evidence.shape, name))),
        compare="\n".join(statements.comparisons(evidence)),
        rename=text(compose("ALTER DATABASE {old} RENAME TO {new}", old=quoted(beside), new=quoted(name))),
    )


def _tablespaces(names: Sequence[str]) -> str:
    """A query with a row for each of these tablespaces that a server lacks; empty where there are none."""
    if not names:
        return ""
    rows = [sql.compose("({name})", name=sql.literal(name)) for name in names]
    return sql.text(
        sql.compose(
            "SELECT name FROM (VALUES {rows}) AS t (name)"
            " WHERE name NOT IN (SELECT spcname FROM pg_tablespace)",
            rows=sql.joined(", ", rows),
        )
    )


def _blobs(manifest: PointManifest) -> _Blobs | None:
    part = manifest.images
    if part is None:
        return None
    if manifest.bucket is not None:
        # They come back as files, to be served from there or carried to a bucket.
        return _Blobs("", "", "", "registry", manifest.bucket.source.where, "/registry")
    where = PurePosixPath(part.path)
    root = manifest.blobs_root or part.path
    layouts = manifest.storage == "oci"
    return _Blobs(part.snapshot, part.tree, str(where.parent), where.name, root, root, layouts)


def _lost(manifest: PointManifest) -> _Lost | None:
    proof = manifest.closure.manifests if manifest.closure else None
    if proof is None or not proof.lost:
        return None
    return _Lost(proof.lost, "\n".join(proof.lost_names))


def _vault(manifest: PointManifest) -> _Vault | None:
    bucketed = manifest.bucket
    if bucketed is None:
        return None
    return _Vault(
        bucketed.vault,
        bucketed.source,
        manifest.need("inventory", "inventory"),
        manifest.need("links", "links"),
        # In whole seconds, for rclone. The blobs were all there when the last part was.
        (manifest.finished_at.astimezone(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
