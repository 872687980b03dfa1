"""The check that Harbor's core would start on a restored database's schema, and its control."""

from __future__ import annotations

from collections.abc import Iterator

from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, passed, undecided
from drkit.errors import ToolFailed
from drkit.harbor import schema, tables, versions, wording
from drkit.model import CheckKind, DatabaseEvidence, Reason, SchemaFault
from drkit.tools.postgres import sessions
from drkit.tools.postgres.sessions import Session
from drkit.tools.postgres.targets import Target


def checks(target: Target, evidence: DatabaseEvidence) -> Iterator[Check]:
    """The check of one restored database."""
    yield Check(CheckKind.SCHEMA, lambda: starts(target, evidence), evidence.name)


def controls(target: Target, evidence: DatabaseEvidence) -> Iterator[Control | Unplanted]:
    """A migration that broke off."""
    name = f"broken-off migration in {evidence.name}"
    if evidence.schema_fault is not None:
        yield Unplanted(name, "the schema is at fault already")
    else:
        yield Control(name, "schema_migrations marked as dirty", lambda: _mark(target, evidence))


def starts(target: Target, evidence: DatabaseEvidence) -> Finding:
    """The version is one that drkit knows, and no migration has broken off."""
    with sessions.connect(target) as session, session.undone():
        return _judge(session, evidence)


def _judge(session: Session, evidence: DatabaseEvidence) -> Finding:
    fault, version = schema.look(session), tables.schema_version(session)
    if fault is SchemaFault.UNKNOWN:
        return undecided(wording.schema_fault(fault, version))
    if fault is not None:
        as_then = Reason.AS_IN_PRODUCTION if fault is evidence.schema_fault else None
        return failed(wording.schema_fault(fault, version), as_then)
    return passed(versions.describe(version) if version is not None else "no version is noted down")


def _mark(target: Target, evidence: DatabaseEvidence) -> Finding:
    with sessions.connect(target) as session, session.undone():
        if session.execute("UPDATE public.schema_migrations SET dirty = true") < 1:
            raise ToolFailed("schema_migrations has no row to mark")
        return _judge(session, evidence)
