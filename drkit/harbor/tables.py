"""Harbor's tables: which digests they refer to, what garbage collection does, what is encrypted.

Harbor declares few foreign keys, so every query here says for itself what belongs together.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from drkit.registry.storage import Tag
from drkit.tools.postgres import sql
from drkit.tools.postgres.sessions import Session

# (table, column) -> whether its plain text is JSON. From harbor/src/pkg/*/dao and src/lib/encrypt.
_ENCRYPTED: dict[tuple[str, str], bool] = {
    ("registry", "access_secret"): False,
    ("oidc_user", "secret"): False,
    ("oidc_user", "token"): True,
    ("properties", "v"): False,
    ("scanner_registration", "access_cred"): False,
    ("p2p_preheat_instance", "auth_data"): False,
}

# Harbor writes 0, not NULL, where a project is no proxy cache (src/pkg/project/models: `RegistryID > 0`).
_NO_PROXY = "coalesce(p.registry_id, 0) = 0"

# Every place that names a digest whose bytes must be there, and its size where that very row knows it.
# `required` is false for what a proxy cache may not have fetched yet. An artifact_blob row outlives its
# artifact until garbage collection, and asks for nothing then. A system artifact is in no other table
# (src/pkg/systemartifact pushes it to sys_harb0r/<vendor>/<repository>); a size of 0 is the column's default.
_REFERENCES = {
    "artifact": "SELECT o.digest, o.required, NULL::bigint AS size FROM owner o",
    "artifact_blob": "SELECT ab.digest_blob, bool_or(o.required), NULL FROM public.artifact_blob ab"
    " JOIN owner o ON o.digest = ab.digest_af GROUP BY ab.digest_blob",
    "artifact_reference": "SELECT r.child_digest, coalesce(p.registry_id, 0) = 0, NULL"
    " FROM public.artifact_reference r JOIN public.artifact a ON a.id = r.parent_id"
    " LEFT JOIN public.project p USING (project_id)",
    "artifact_accessory": "SELECT digest, true, NULL FROM public.artifact_accessory",
    "system_artifact": "SELECT digest, true, nullif(size, 0) FROM public.system_artifact",
}

# What is fetched from elsewhere and need not be stored: Docker's foreign layers and OCI's, under any media
# type that distribution lets pass without looking for the blob.
_FOREIGN = "(content_type LIKE '%.foreign.%' OR content_type LIKE '%nondistributable%')"


@dataclass(frozen=True)
class EncryptedValue:
    """One value that the secret key should open; `place` names it without giving it away."""

    place: str
    value: str
    json_expected: bool


@dataclass(frozen=True)
class Image:
    """A manifest in a repository (`project/name`); `proxy` as in Tag."""

    repository: str
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


def digests(session: Session, only: Sequence[str] | None = None) -> Iterator[tuple[str, int | None]]:
    """Every digest that must be stored, sorted bytewise, with its size where the database knows it.

    With `only`, those among these few.

    Left out: foreign layers, which are never stored, SHA-512 digests (a registry stores the blob by its
    SHA-256, and the repository's link tells by which), and what a proxy cache has not fetched: a child or a
    blob of its projects alone that has no row in `blob`, which Harbor writes once the bytes are there.
    """
    parts = [sql for table, sql in _REFERENCES.items() if has(session, table)]
    query = sql.compose(
        "WITH owner AS MATERIALIZED (SELECT a.digest, bool_or({no_proxy}) AS required FROM public.artifact a"
        " LEFT JOIN public.project p USING (project_id) GROUP BY a.digest)"
        " SELECT d.digest, coalesce(max(b.size), max(d.size)) FROM ({union}) AS d (digest, required, size)"
        " LEFT JOIN public.blob b ON b.digest = d.digest"
        " WHERE d.digest <> '' AND left(d.digest, 7) <> 'sha512:' AND {few}"
        " AND (b.content_type IS NULL OR NOT {foreign})"
        " GROUP BY d.digest HAVING bool_or(d.required) OR max(b.size) IS NOT NULL"
        ' ORDER BY d.digest COLLATE "C"',
        union=sql.joined(" UNION ALL ", [sql.fragment(part) for part in parts]),
        no_proxy=sql.fragment(_NO_PROXY),
        foreign=sql.fragment(_FOREIGN),
        few=_among(only),
    )
    for digest, size in session.stream(query):
        yield digest, size if size is None else int(size)


def _among(digests: Sequence[str] | None) -> sql.Part:
    if digests is None:
        return sql.fragment("true")
    return sql.compose("d.digest = ANY ({names}::text[])", names=sql.literal(list(digests)))


def project_sizes(session: Session) -> Iterator[tuple[str, int, int]]:
    """(project, blobs, bytes) as Harbor itself counts them for its quotas, sorted by name."""
    query = sql.compose(
        "SELECT p.name, count(*), coalesce(sum(b.size), 0) FROM public.project_blob pb"
        " JOIN public.blob b ON b.id = pb.blob_id JOIN public.project p ON p.project_id = pb.project_id"
        " WHERE NOT {foreign} GROUP BY p.name ORDER BY p.name",
        foreign=sql.fragment(_FOREIGN),
    )
    for project, blobs, size in session.rows(query):
        yield project, int(blobs), int(size)


def artifacts(session: Session) -> Iterator[tuple[str, int | None]]:
    """The digest of every manifest whose image must be whole, sorted bytewise, its size left open.

    Left out: what is in proxy caches alone, which may not have fetched everything.
    """
    query = sql.compose(
        "SELECT a.digest, NULL FROM public.artifact a LEFT JOIN public.project p USING (project_id)"
        " WHERE a.digest <> '' AND {no_proxy} GROUP BY a.digest ORDER BY a.digest COLLATE \"C\"",
        no_proxy=sql.fragment(_NO_PROXY),
    )
    yield from session.stream(query)


def images(session: Session) -> Iterator[Image]:
    """Every artifact in its repository, in no order."""
    query = (
        "SELECT a.repository_name, a.digest, coalesce(p.registry_id, 0) > 0 FROM public.artifact a"
        " LEFT JOIN public.project p USING (project_id)"
    )
    for row in session.stream(query):
        yield Image(*row)


def has_image(session: Session, repository: str, digest: str) -> bool:
    """Whether a repository has an artifact of that digest."""
    query = "SELECT EXISTS (SELECT FROM public.artifact WHERE repository_name = %s AND digest = %s)"
    return bool(session.value(query, (repository, digest)))


def tags(session: Session) -> Iterator[Tag]:
    """Every tag, by repository and name."""
    query = (
        "SELECT r.name, t.name, a.digest, coalesce(p.registry_id, 0) > 0 FROM public.tag t"
        " JOIN public.artifact a ON a.id = t.artifact_id"
        " JOIN public.repository r ON r.repository_id = t.repository_id"
        " LEFT JOIN public.project p ON p.project_id = r.project_id ORDER BY r.name, t.name"
    )
    for row in session.stream(query):
        yield Tag(*row)


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


def sizes_of_images(session: Session, images: Sequence[str]) -> dict[str, int]:
    """The same with the size of each, 0 where the database does not know it."""
    digests = digests_of_images(session, images)
    rows = session.rows("SELECT digest, size FROM public.blob WHERE digest = ANY(%s)", (list(digests),))
    return dict.fromkeys(digests, 0) | {str(digest): int(size or 0) for digest, size in rows}


def encrypted_values(session: Session) -> Iterator[EncryptedValue]:
    """Every value that Harbor encrypted with its secret key."""
    for (table, column), json_expected in _ENCRYPTED.items():
        if not has(session, table):
            continue
        query = sql.compose(
            "SELECT ctid::text, {column} FROM {table} WHERE {column} LIKE '<enc-v1>%'",
            column=sql.identifier(column),
            table=sql.identifier("public", table),
        )
        for number, (_, value) in enumerate(session.stream(query), 1):
            yield EncryptedValue(f"{table}.{column} number {number}", value, json_expected)


def signatures(session: Session, limit: int | None = None) -> Iterator[StoredSignature]:
    """What may be a signature that cosign made, the newest first; all of them, or no more than `limit`.

    Its bundles are filed by Harbor to 2.14 as `subject.accessory`, which other things that refer to an image
    are as well: they come last.
    """
    if not has(session, "artifact_accessory"):
        return
    query = (
        "SELECT a.repository_name, a.digest, s.digest FROM public.artifact_accessory y"
        " JOIN public.artifact a ON a.id = y.artifact_id"
        " JOIN public.artifact s"
        " ON s.repository_id = a.repository_id AND s.digest = y.subject_artifact_digest"
        " WHERE y.type IN ('signature.cosign', 'subject.accessory')"
        " ORDER BY y.type = 'signature.cosign' DESC, y.id DESC"
    )
    for row in itertools.islice(session.stream(query), limit):
        yield StoredSignature(*row)


def has(session: Session, table: str) -> bool:
    """Whether this version of Harbor has that table."""
    return bool(session.value("SELECT to_regclass(%s) IS NOT NULL", (f"public.{table}",)))
