"""What an operator would miss first, in numbers that a person recognises.

One short sentence a subject. Nothing in them changes with the clock, so that the sentence of a restored
database must be that of the moment of its backup.
"""

from __future__ import annotations

from collections.abc import Callable

from drkit.harbor import tables
from drkit.model import InventoryLine
from drkit.tools.postgres import Session

# How the checks of a drill are called: this and a subject.
PREFIX = "inventory: "
# project_member.role (make/migrations: table role).
_ROLES = ("project admin", "developer", "guest", "maintainer", "limited guest")


def subjects(session: Session) -> tuple[str, ...]:
    """What there is to tell of in this version of Harbor: the subjects whose tables it has."""
    return tuple(
        name for name, (needed, _) in _SUBJECTS.items() if all(tables.has(session, t) for t in needed)
    )


def tell(session: Session, subject: str) -> InventoryLine:
    """The line of one subject; raises ToolFailed."""
    _, say = _SUBJECTS[subject]
    return InventoryLine(subject, say(session))


def counted(count: int, one: str, many: str = "") -> str:
    """`1 project`, `41 projects`, `no projects`."""
    if count == 1:
        return f"1 {one}"
    return f"{f'{count:,}' if count else 'no'} {many or one + 's'}"


def _with(first: str, *more: str) -> str:
    """The first, and in brackets what is to be said beside it."""
    said = ", ".join(part for part in more if not part.startswith("no "))
    return f"{first} ({said})" if said else first


def _projects(session: Session) -> str:
    live, deleted, proxies, public = session.row(
        "SELECT count(*) FILTER (WHERE NOT deleted), count(*) FILTER (WHERE deleted),"
        " count(*) FILTER (WHERE NOT deleted AND registry_id > 0), count(*) FILTER (WHERE NOT deleted AND"
        "  EXISTS (SELECT FROM public.project_metadata m WHERE m.project_id = p.project_id"
        "   AND m.name = 'public' AND m.value = 'true')) FROM public.project p"
    )
    beside = (f"{public or 'no'} public", counted(proxies, "proxy cache"), f"{deleted or 'no'} deleted")
    return _with(counted(live, "project"), *beside)


def _users(session: Session) -> str:
    live, deleted, admins = session.row(
        "SELECT count(*) FILTER (WHERE NOT deleted), count(*) FILTER (WHERE deleted),"
        " count(*) FILTER (WHERE NOT deleted AND sysadmin_flag) FROM public.harbor_user"
    )
    groups = session.value("SELECT count(*) FROM public.user_group")
    sso = session.value("SELECT count(*) FROM public.oidc_user")
    beside = (counted(admins, "administrator"), f"{sso or 'no'} by OIDC", f"{deleted or 'no'} deleted")
    return f"{_with(counted(live, 'user'), *beside)}, {counted(groups, 'group')}"


def _members(session: Session) -> str:
    found: dict[int, int] = dict(
        session.rows("SELECT role, count(*) FROM public.project_member GROUP BY role")
    )
    named = [counted(found.get(number, 0), role) for number, role in enumerate(_ROLES, 1)]
    return _with(counted(sum(found.values()), "membership"), *named)


def _artifacts(session: Session) -> str:
    artifacts, tags, repositories = session.row(
        "SELECT (SELECT count(*) FROM public.artifact), (SELECT count(*) FROM public.tag),"
        " (SELECT count(*) FROM public.repository)"
    )
    where = counted(repositories, "repository", "repositories")
    return f"{counted(artifacts, 'artifact')}, {counted(tags, 'tag')}, {where}"


def _accessories(session: Session) -> str:
    found = session.rows("SELECT type, count(*) FROM public.artifact_accessory GROUP BY type ORDER BY type")
    return _with(
        counted(sum(count for _, count in found), "accessory", "accessories"),
        *(f"{count:,} {printable(kind)}" for kind, count in found),
    )


def _robots(session: Session) -> str:
    every, system, disabled = session.row(
        "SELECT count(*), count(*) FILTER (WHERE project_id = 0), count(*) FILTER (WHERE disabled)"
        " FROM public.robot"
    )
    return _with(counted(every, "robot"), f"{system or 'no'} system-wide", f"{disabled or 'no'} disabled")


def _retention(session: Session) -> str:
    projects = session.value("SELECT count(DISTINCT scope_reference) FROM public.retention_policy")
    return f"retention rules in {counted(projects, 'project')}"


def _immutability(session: Session) -> str:
    every, off = session.row(
        "SELECT count(*), count(*) FILTER (WHERE disabled) FROM public.immutable_tag_rule"
    )
    return _with(counted(every, "immutability rule"), f"{off or 'no'} disabled")


def _webhooks(session: Session) -> str:
    every, off = session.row(
        "SELECT count(*), count(*) FILTER (WHERE NOT enabled) FROM public.notification_policy"
    )
    return _with(counted(every, "webhook"), f"{off or 'no'} disabled")


def _replication(session: Session) -> str:
    every, off = session.row(
        "SELECT count(*), count(*) FILTER (WHERE NOT enabled) FROM public.replication_policy"
        " WHERE NOT deleted"
    )
    registries = session.value("SELECT count(*) FROM public.registry")
    rules = _with(counted(every, "replication rule"), f"{off or 'no'} disabled")
    return f"{rules}, {counted(registries, 'remote registry', 'remote registries')}"


def _scans(session: Session) -> str:
    reports, digests = session.row("SELECT count(*), count(DISTINCT digest) FROM public.scan_report")
    return f"{counted(reports, 'scan report')} of {counted(digests, 'artifact')}"


def _settings(session: Session) -> str:
    count, mode = session.row(
        "SELECT count(*), coalesce(max(v) FILTER (WHERE k = 'auth_mode'), 'db_auth') FROM public.properties"
    )
    return f"{counted(count, 'setting')}, login by {printable(mode)}"


def _audit(session: Session) -> str:
    """The last entry, of either log; by id, which has an index, for the time has none in every version."""
    newest = []
    for table in ("audit_log", "audit_log_ext"):
        if tables.has(session, table):
            newest += session.rows(_LAST_ENTRY[table])
    if not newest:
        return "no entries"
    when, operation, kind, resource, who = max(newest, key=lambda row: row[0])
    return f"last entry {when:%Y-%m-%d %H:%M} UTC: {printable(f'{operation} of {kind} {resource} by {who}')}"


_LAST_ENTRY = {
    "audit_log": "SELECT op_time, operation, resource_type, resource, username FROM public.audit_log"
    " WHERE op_time IS NOT NULL ORDER BY id DESC LIMIT 1",
    "audit_log_ext": "SELECT op_time, operation, resource_type, resource, username FROM public.audit_log_ext"
    " WHERE op_time IS NOT NULL ORDER BY id DESC LIMIT 1",
}


def printable(text: object, longest: int = 160) -> str:
    """Text out of the database as one line that cannot steer a terminal."""
    line = "".join(char if char.isprintable() else "?" for char in str(text))
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


_SUBJECTS: dict[str, tuple[tuple[str, ...], Callable[[Session], str]]] = {
    "projects": (("project", "project_metadata"), _projects),
    "users": (("harbor_user", "user_group", "oidc_user"), _users),
    "members": (("project_member",), _members),
    "artifacts": (("artifact", "tag", "repository"), _artifacts),
    "signatures and SBOMs": (("artifact_accessory",), _accessories),
    "robots": (("robot",), _robots),
    "retention": (("retention_policy",), _retention),
    "immutability": (("immutable_tag_rule",), _immutability),
    "webhooks": (("notification_policy",), _webhooks),
    "replication": (("replication_policy", "registry"), _replication),
    "scans": (("scan_report",), _scans),
    "settings": (("properties",), _settings),
    "audit log": (("audit_log",), _audit),
}
