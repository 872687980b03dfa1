"""What Harbor's database says there is, in lists that a recovery point has beside the dump.

Both are read in the snapshot that is dumped, and in a restored database to see that it says the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import LiteralString

from drkit.harbor import tables
from drkit.harbor.named import Named
from drkit.registry.image_list import Listed
from drkit.tools.postgres import sql
from drkit.tools.postgres.sessions import Session

_CHILDREN = "SELECT DISTINCT child_id FROM public.artifact_reference"
_ACCESSORIES = (
    "SELECT artifact_id, min(subject_artifact_digest) AS subject FROM public.artifact_accessory"
    " GROUP BY artifact_id"
)
_NO_CHILDREN = "SELECT NULL::bigint AS child_id WHERE false"
_NO_ACCESSORIES = "SELECT NULL::bigint AS artifact_id, NULL::text AS subject WHERE false"


def images(session: Session) -> Iterator[Listed]:
    """Every tag and every untagged artifact, sorted as lists of images are."""
    children = _CHILDREN if tables.has(session, "artifact_reference") else _NO_CHILDREN
    accessories = _ACCESSORIES if tables.has(session, "artifact_accessory") else _NO_ACCESSORIES
    query = sql.compose(
        "SELECT a.repository_name, coalesce(t.name, '') AS tag, a.digest, a.size,"
        " CASE WHEN y.subject IS NOT NULL THEN 'accessory' WHEN c.child_id IS NOT NULL THEN 'child'"
        "  ELSE 'image' END, y.subject"
        " FROM public.artifact a LEFT JOIN public.tag t ON t.artifact_id = a.id"
        " LEFT JOIN ({children}) AS c ON c.child_id = a.id"
        " LEFT JOIN ({accessories}) AS y ON y.artifact_id = a.id"
        ' ORDER BY a.repository_name COLLATE "C", coalesce(t.name, \'\') COLLATE "C", a.digest COLLATE "C"',
        children=sql.fragment(children),
        accessories=sql.fragment(accessories),
    )
    for row in session.stream(query):
        yield Listed(*row)


# Kind -> the tables that it takes, and a query for what each is called. A member's role is in its name, for
# who has lost a role has lost something.
_NAMES: dict[str, tuple[tuple[str, ...], LiteralString]] = {
    "project": (("project",), "SELECT name FROM public.project WHERE NOT deleted"),
    "member": (
        ("project_member", "project", "harbor_user", "user_group"),
        "SELECT p.name || ': ' || coalesce(u.username, g.group_name, 'number ' || m.entity_id)"
        " || CASE m.entity_type WHEN 'g' THEN ', a group' ELSE '' END"
        " || ', ' || coalesce((ARRAY['project admin', 'developer', 'guest', 'maintainer', 'limited guest'])"
        "[m.role], 'role ' || m.role) FROM public.project_member m JOIN public.project p USING (project_id)"
        " LEFT JOIN public.harbor_user u ON m.entity_type = 'u' AND u.user_id = m.entity_id"
        " LEFT JOIN public.user_group g ON m.entity_type = 'g' AND g.id = m.entity_id WHERE NOT p.deleted",
    ),
    "user": (("harbor_user",), "SELECT username FROM public.harbor_user WHERE NOT deleted"),
    "group": (("user_group",), "SELECT group_name FROM public.user_group"),
    "robot": (
        ("robot", "project"),
        "SELECT coalesce(p.name || ': ', '') || r.name FROM public.robot r"
        " LEFT JOIN public.project p USING (project_id)",
    ),
    "retention policy": (
        ("retention_policy", "project"),
        "SELECT p.name FROM public.retention_policy r JOIN public.project p"
        " ON p.project_id = r.scope_reference AND r.scope_level = 'project'",
    ),
    "immutability rule": (
        ("immutable_tag_rule", "project"),
        "SELECT p.name || ', rule ' || r.id FROM public.immutable_tag_rule r"
        " JOIN public.project p USING (project_id)",
    ),
    "replication policy": (
        ("replication_policy",),
        "SELECT name FROM public.replication_policy WHERE NOT deleted",
    ),
    "remote registry": (("registry",), "SELECT name FROM public.registry"),
    "webhook": (
        ("notification_policy", "project"),
        "SELECT p.name || ': ' || n.name FROM public.notification_policy n"
        " JOIN public.project p USING (project_id)",
    ),
}


def names(session: Session) -> Iterator[Named]:
    """What somebody has set up, by kind and name, sorted and each once: of the tables that there are."""
    there = {table: tables.has(session, table) for needed, _ in _NAMES.values() for table in needed}
    parts = [
        sql.compose(
            "SELECT {kind} AS kind, name FROM ({query}) AS n (name)",
            kind=sql.literal(kind),
            query=sql.fragment(query),
        )
        for kind, (needed, query) in _NAMES.items()
        if all(there[table] for table in needed)
    ]
    if not parts:
        return
    query = sql.compose(
        "SELECT kind, name FROM (SELECT DISTINCT kind, name FROM ({union}) AS u WHERE name IS NOT NULL) AS d"
        ' ORDER BY kind COLLATE "C", name COLLATE "C"',
        union=sql.joined(" UNION ALL ", parts),
    )
    for row in session.stream(query):
        yield Named(*row)
