"""Harbor's tables: which digests they refer to, what garbage collection does, what is encrypted.

Harbor declares few foreign keys, so every query here says for itself what belongs together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from drkit.tools import postgres
from drkit.tools.postgres import Session

# (table, column) -> whether its plain text is JSON. From harbor/src/pkg/*/dao and src/lib/encrypt.
_ENCRYPTED: dict[tuple[str, str], bool] = {
    ("registry", "access_secret"): False,
    ("oidc_user", "secret"): False,
    ("oidc_user", "token"): True,
    ("properties", "v"): False,
    ("scanner_registration", "access_cred"): False,
    ("p2p_preheat_instance", "auth_data"): False,
}

# Every place that names a digest whose bytes must be there; `fetched` is false for what a proxy cache
# may not have fetched yet.
_REFERENCES = {
    "artifact": "SELECT a.digest, p.registry_id IS NULL AS required FROM public.artifact a"
    " LEFT JOIN public.project p USING (project_id)",
    "artifact_blob": "SELECT ab.digest_blob, bool_or(p.registry_id IS NULL) FROM public.artifact_blob ab"
    " JOIN public.artifact a ON a.digest = ab.digest_af"
    " LEFT JOIN public.project p USING (project_id) GROUP BY ab.digest_blob",
    "artifact_reference": "SELECT r.child_digest, p.registry_id IS NULL FROM public.artifact_reference r"
    " JOIN public.artifact a ON a.id = r.parent_id LEFT JOIN public.project p USING (project_id)",
    "artifact_accessory": "SELECT digest, true FROM public.artifact_accessory",
    "system_artifact": "SELECT digest, true FROM public.system_artifact",
}


@dataclass(frozen=True)
class EncryptedValue:
    """One value that the secret key should open; `place` names it without giving it away."""

    place: str
    value: str
    json_expected: bool


@dataclass(frozen=True)
class Tag:
    """A tag and what it points to; `repository` is `project/name`.

    `proxy` says that its project is a proxy cache, which may not have fetched every layer.
    """

    repository: str
    name: str
    digest: str
    proxy: bool = False


@dataclass(frozen=True)
class StoredSignature:
    """A signature that the registry holds: the digest of its manifest, and that of the image it is of."""

    repository: str
    digest: str
    subject: str


def is_harbor(session: Session) -> bool:
    """Whether this database has Harbor's registry tables."""
    return bool(
        session.value(
            "SELECT to_regclass('public.artifact') IS NOT NULL AND to_regclass('public.blob') IS NOT NULL"
        )
    )


def schema_version(session: Session) -> int | None:
    """The number of the last migration, where there are migrations."""
    if not has(session, "schema_migrations"):
        return None
    found = session.rows("SELECT version FROM public.schema_migrations ORDER BY version DESC LIMIT 1")
    return int(found[0][0]) if found else None


def digests(session: Session) -> Iterator[tuple[str, int | None]]:
    """Every digest that must be stored, sorted bytewise, with its size where the database knows it.

    Left out: foreign layers, which are never stored, and what a proxy cache has not fetched.
    """
    parts = [sql for table, sql in _REFERENCES.items() if has(session, table)]
    union = postgres.joined(" UNION ALL ", [postgres.fragment(part) for part in parts])
    query = postgres.compose(
        "SELECT d.digest, max(b.size) FROM ({union}) AS d (digest, required)"
        " LEFT JOIN public.blob b ON b.digest = d.digest"
        " WHERE d.digest LIKE 'sha256:%' AND coalesce(b.content_type, '') NOT LIKE '%foreign%'"
        " GROUP BY d.digest HAVING bool_or(d.required) OR max(b.size) IS NOT NULL"
        ' ORDER BY d.digest COLLATE "C"',
        union=union,
    )
    for digest, size in session.stream(query):
        yield digest, size if size is None else int(size)


def tags(session: Session) -> Iterator[Tag]:
    """Every tag, by repository and name."""
    query = (
        "SELECT r.name, t.name, a.digest, p.registry_id IS NOT NULL FROM public.tag t"
        " JOIN public.artifact a ON a.id = t.artifact_id"
        " JOIN public.repository r ON r.repository_id = t.repository_id"
        " LEFT JOIN public.project p ON p.project_id = r.project_id ORDER BY r.name, t.name"
    )
    for row in session.stream(query):
        yield Tag(*row)


def artifact_children(session: Session) -> Iterator[tuple[str, str, str]]:
    """(repository, parent digest, child digest) of every image index."""
    query = (
        "SELECT r.name, a.digest, f.child_digest FROM public.artifact_reference f"
        " JOIN public.artifact a ON a.id = f.parent_id JOIN public.repository r USING (repository_id)"
    )
    yield from session.stream(query)


def digests_of_images(session: Session, images: Sequence[str]) -> tuple[str, ...]:
    """Every digest that those images need: manifests, the children of an index, configurations and layers."""
    query = (
        "WITH RECURSIVE image (digest) AS (SELECT unnest(%s::text[]) UNION"
        " SELECT f.child_digest FROM image i JOIN public.artifact a USING (digest)"
        " JOIN public.artifact_reference f ON f.parent_id = a.id)"
        " SELECT digest FROM image UNION"
        " SELECT ab.digest_blob FROM image i JOIN public.artifact_blob ab ON ab.digest_af = i.digest"
    )
    return tuple(digest for (digest,) in session.rows(query, (list(images),)))


def collections_since(session: Session, moment: datetime | None) -> int:
    """Garbage collections that run now, or that ran at any time since `moment`."""
    if not has(session, "execution"):
        return 0
    query = (
        "SELECT count(*) FROM public.execution WHERE vendor_type = 'GARBAGE_COLLECTION'"
        " AND (upper(status) IN ('RUNNING', 'PENDING', 'SCHEDULED') OR start_time >= %s OR end_time >= %s)"
    )
    return int(session.value(query, (moment, moment)))


def encrypted_values(session: Session) -> Iterator[EncryptedValue]:
    """Every value that Harbor encrypted with its secret key."""
    for (table, column), json_expected in _ENCRYPTED.items():
        if not has(session, table):
            continue
        query = postgres.compose(
            "SELECT ctid::text, {column} FROM {table} WHERE {column} LIKE '<enc-v1>%'",
            column=postgres.identifier(column),
            table=postgres.identifier("public", table),
        )
        for number, (_, value) in enumerate(session.stream(query), 1):
            yield EncryptedValue(f"{table}.{column} number {number}", value, json_expected)


def signatures(session: Session, limit: int | None = None) -> Iterator[StoredSignature]:
    """The signatures that cosign made, the newest first; all of them, or no more than `limit`."""
    if not has(session, "artifact_accessory"):
        return
    query = (
        "SELECT a.repository_name, a.digest, s.digest FROM public.artifact_accessory y"
        " JOIN public.artifact a ON a.id = y.artifact_id"
        " JOIN public.artifact s"
        " ON s.repository_id = a.repository_id AND s.digest = y.subject_artifact_digest"
        " WHERE y.type = 'signature.cosign' ORDER BY y.id DESC"
    )
    for row in itertools.islice(session.stream(query), limit):
        yield StoredSignature(*row)


def has(session: Session, table: str) -> bool:
    """Whether this version of Harbor has that table."""
    return bool(session.value("SELECT to_regclass(%s) IS NOT NULL", (f"public.{table}",)))
