"""What an operator would miss first, in numbers that a person recognises.

A subject has facts, which a drill compares, and one short sentence made of them for a person. Nothing in them
changes with the clock: the facts of a restored database must be those of the moment of its backup.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import LiteralString

from drkit.harbor import tables
from drkit.harbor.wording import printable
from drkit.model import InventoryFacts, InventoryLine
from drkit.tools.postgres.sessions import Session

# project_member.role (make/migrations: table role).
_ROLES = ("project admin", "developer", "guest", "maintainer", "limited guest")


@dataclass(frozen=True)
class _Subject:
    """The tables that it is told from, how its facts are read, and how they are said."""

    needs: tuple[str, ...]
    read: Callable[[Session], InventoryFacts]
    say: Callable[[InventoryFacts], str]


def subjects(session: Session) -> tuple[str, ...]:
    """What there is to tell of in this version of Harbor: the subjects whose tables it has."""
    return tuple(name for name, one in _SUBJECTS.items() if all(tables.has(session, t) for t in one.needs))


def tell(session: Session, subject: str) -> InventoryLine:
    """The line of one subject; raises ToolFailed."""
    facts = _SUBJECTS[subject].read(session)
    return InventoryLine(subject, _SUBJECTS[subject].say(facts), facts)


def counted(count: int | str, one: str, many: str = "") -> str:
    """`1 project`, `41 projects`, `no projects`."""
    if count == 1:
        return f"1 {one}"
    return f"{f'{count:,}' if count else 'no'} {many or one + 's'}"


def _some(count: int | str, one: str, many: str = "") -> str:
    """The same; nothing of none."""
    return counted(count, one, many) if count else ""


def _with(first: str, *more: str) -> str:
    """The first, and in brackets what there is to be said beside it."""
    said = ", ".join(filter(None, more))
    return f"{first} ({said})" if said else first


def _row(query: LiteralString, *names: str) -> Callable[[Session], InventoryFacts]:
    """Facts that are the columns of one row."""
    return lambda session: dict(zip(names, session.row(query), strict=True))


def _by_kind(query: LiteralString) -> Callable[[Session], InventoryFacts]:
    """Facts that are rows of a kind and its count."""
    return lambda session: {str(kind): count for kind, count in session.rows(query)}


def _all(facts: InventoryFacts) -> int:
    return sum(count for count in facts.values() if isinstance(count, int))


def _projects(facts: InventoryFacts) -> str:
    return _with(
        counted(facts["live"], "project"),
        _some(facts["public"], "public", "public"),
        _some(facts["proxies"], "proxy cache"),
        _some(facts["deleted"], "deleted", "deleted"),
    )


def _users(facts: InventoryFacts) -> str:
    users = _with(
        counted(facts["live"], "user"),
        _some(facts["admins"], "administrator"),
        _some(facts["sso"], "by OIDC", "by OIDC"),
        _some(facts["deleted"], "deleted", "deleted"),
    )
    return f"{users}, {counted(facts['groups'], 'group')}"


def _members(facts: InventoryFacts) -> str:
    named = [_some(facts.get(str(number), 0), role) for number, role in enumerate(_ROLES, 1)]
    return _with(counted(_all(facts), "membership"), *named)


def _artifacts(facts: InventoryFacts) -> str:
    where = counted(facts["repositories"], "repository", "repositories")
    return f"{counted(facts['artifacts'], 'artifact')}, {counted(facts['tags'], 'tag')}, {where}"


def _accessories(facts: InventoryFacts) -> str:
    kinds = (f"{count:,} {printable(kind)}" for kind, count in sorted(facts.items()))
    return _with(counted(_all(facts), "accessory", "accessories"), *kinds)


def _robots(facts: InventoryFacts) -> str:
    system = _some(facts["system"], "system-wide", "system-wide")
    return _with(counted(facts["all"], "robot"), system, _off(facts))


def _off(facts: InventoryFacts) -> str:
    return _some(facts["disabled"], "disabled", "disabled")


def _replication(facts: InventoryFacts) -> str:
    rules = _with(counted(facts["all"], "replication rule"), _off(facts))
    return f"{rules}, {counted(facts['registries'], 'remote registry', 'remote registries')}"


def _scans(facts: InventoryFacts) -> str:
    return f"{counted(facts['reports'], 'scan report')} of {counted(facts['artifacts'], 'artifact')}"


def _last_entry(session: Session) -> InventoryFacts:
    """The last entry, of either log; by id, which has an index, for the time has none in every version."""
    newest = []
    for table in ("audit_log", "audit_log_ext"):
        if tables.has(session, table):
            newest += session.rows(_LAST_ENTRY[table])
    if not newest:
        return {}
    when, operation, kind, resource, who = max(newest, key=lambda row: row[0])
    return {"at": f"{when:%Y-%m-%d %H:%M}", "what": f"{operation} of {kind} {resource} by {who}"}


def _audit(facts: InventoryFacts) -> str:
    return f"last entry {facts['at']} UTC: {printable(facts['what'])}" if facts else "no entries"


_LAST_ENTRY: dict[str, LiteralString] = {
    "audit_log": "SELECT op_time, operation, resource_type, resource, username FROM public.audit_log"
    " WHERE op_time IS NOT NULL ORDER BY id DESC LIMIT 1",
    "audit_log_ext": "SELECT op_time, operation, resource_type, resource, username FROM public.audit_log_ext"
    " WHERE op_time IS NOT NULL ORDER BY id DESC LIMIT 1",
}


_SUBJECTS = {
    "projects": _Subject(
        ("project", "project_metadata"),
        _row(
            "SELECT count(*) FILTER (WHERE NOT deleted), count(*) FILTER (WHERE deleted),"
            " count(*) FILTER (WHERE NOT deleted AND registry_id > 0), count(*) FILTER (WHERE NOT deleted AND"
            "  EXISTS (SELECT FROM public.project_metadata m WHERE m.project_id = p.project_id"
            "   AND m.name = 'public' AND m.value = 'true')) FROM public.project p",
            *("live", "deleted", "proxies", "public"),
        ),
        _projects,
    ),
    "users": _Subject(
        ("harbor_user", "user_group", "oidc_user"),
        _row(
            "SELECT count(*) FILTER (WHERE NOT deleted), count(*) FILTER (WHERE deleted),"
            " count(*) FILTER (WHERE NOT deleted AND sysadmin_flag),"
            " (SELECT count(*) FROM public.user_group), (SELECT count(*) FROM public.oidc_user)"
            " FROM public.harbor_user",
            *("live", "deleted", "admins", "groups", "sso"),
        ),
        _users,
    ),
    "members": _Subject(
        ("project_member",),
        _by_kind("SELECT role, count(*) FROM public.project_member GROUP BY role"),
        _members,
    ),
    "artifacts": _Subject(
        ("artifact", "tag", "repository"),
        _row(
            "SELECT (SELECT count(*) FROM public.artifact), (SELECT count(*) FROM public.tag),"
            " (SELECT count(*) FROM public.repository)",
            *("artifacts", "tags", "repositories"),
        ),
        _artifacts,
    ),
    "signatures and SBOMs": _Subject(
        ("artifact_accessory",),
        _by_kind("SELECT type, count(*) FROM public.artifact_accessory GROUP BY type"),
        _accessories,
    ),
    "robots": _Subject(
        ("robot",),
        _row(
            "SELECT count(*), count(*) FILTER (WHERE project_id = 0), count(*) FILTER (WHERE disabled)"
            " FROM public.robot",
            *("all", "system", "disabled"),
        ),
        _robots,
    ),
    "retention": _Subject(
        ("retention_policy",),
        _row("SELECT count(DISTINCT scope_reference) FROM public.retention_policy", "projects"),
        lambda facts: f"retention rules in {counted(facts['projects'], 'project')}",
    ),
    "immutability": _Subject(
        ("immutable_tag_rule",),
        _row(
            "SELECT count(*), count(*) FILTER (WHERE disabled) FROM public.immutable_tag_rule",
            *("all", "disabled"),
        ),
        lambda facts: _with(counted(facts["all"], "immutability rule"), _off(facts)),
    ),
    "webhooks": _Subject(
        ("notification_policy",),
        _row(
            "SELECT count(*), count(*) FILTER (WHERE NOT enabled) FROM public.notification_policy",
            *("all", "disabled"),
        ),
        lambda facts: _with(counted(facts["all"], "webhook"), _off(facts)),
    ),
    "replication": _Subject(
        ("replication_policy", "registry"),
        _row(
            "SELECT count(*), count(*) FILTER (WHERE NOT enabled), (SELECT count(*) FROM public.registry)"
            " FROM public.replication_policy WHERE NOT deleted",
            *("all", "disabled", "registries"),
        ),
        _replication,
    ),
    "scans": _Subject(
        ("scan_report",),
        _row("SELECT count(*), count(DISTINCT digest) FROM public.scan_report", "reports", "artifacts"),
        _scans,
    ),
    "settings": _Subject(
        ("properties",),
        _row(
            "SELECT count(*), coalesce(max(v) FILTER (WHERE k = 'auth_mode'), 'db_auth')"
            " FROM public.properties",
            *("all", "login"),
        ),
        lambda facts: f"{counted(facts['all'], 'setting')}, login by {printable(facts['login'])}",
    ),
    "audit log": _Subject(("audit_log",), _last_entry, _audit),
}
