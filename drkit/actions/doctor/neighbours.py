"""Databases beside the ones that are backed up which look as if they were Harbor's too."""

from __future__ import annotations

import re
from collections.abc import Iterator

from drkit import config
from drkit.actions.doctor.finding import Finding
from drkit.actions.drift import servers
from drkit.errors import Failure, ToolFailed
from drkit.harbor import tables
from drkit.tools.postgres import sessions
from drkit.tools.postgres.targets import Target

# Notary's, of Harbor up to 2.8: the keys that signatures were made with.
_NOTARY = ("notaryserver", "notarysigner")
# What a restore of ours has set aside, or is making.
_OURS = re.compile(r".*_(before|restored)_\d{8}_.*")
_LOOKED_AT = 50


def look(settings: config.Config) -> Iterator[Finding]:
    """Warns of each; what cannot be reached is told of where it is looked at for its own sake."""
    targets = [way.target for entry in settings.databases if (way := servers.way(entry))]
    answering = {_server(target): target for target in targets if _answers(target)}
    for server, target in answering.items():
        ours = {other.database for other in targets if _server(other) == server}
        for name in _others(target):
            why = None if name in ours or _OURS.fullmatch(name) else _why(target, name)
            if why:
                yield Finding(
                    "other databases",
                    "warning",
                    f"{target.with_database(name).where} is not backed up, and {why}",
                    f"if it is in use, give it a [[database]] with dbname={name} in its dsn",
                )


def _answers(target: Target) -> bool:
    try:
        with sessions.connect(target):
            return True
    except Failure:
        return False


def _server(target: Target) -> tuple[str, str]:
    host = target.settings.get("hostaddr") or target.settings.get("host", "")
    return host, target.settings.get("port", "5432")


def _others(target: Target) -> tuple[str, ...]:
    query = (
        "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate"
        " AND has_database_privilege(oid, 'CONNECT') ORDER BY datname = ANY(%s) DESC, datname LIMIT %s"
    )
    with sessions.connect(target) as session:
        return tuple(str(name) for (name,) in session.rows(query, (list(_NOTARY), _LOOKED_AT)))


def _why(target: Target, name: str) -> str | None:
    """Why it looks like Harbor's; None where it does not, or nobody may look."""
    if name in _NOTARY:
        return "has the name of Notary's, which has the keys of signatures"
    try:
        with sessions.connect(target.with_database(name)) as session:
            return "has Harbor's tables" if tables.is_harbor(session) else None
    except ToolFailed:
        return None
