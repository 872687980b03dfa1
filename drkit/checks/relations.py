"""Checks on a restored Harbor database: what belongs together is there together, and nothing is gone.

The content is what was dumped (checks/tables.py proves that); here it is asked whether it makes sense, for a
production that was torn already comes back torn.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, not_provable, passed
from drkit.errors import ToolFailed
from drkit.harbor import inventory, torn, wording
from drkit.harbor.relations import Relation
from drkit.model import CheckKind, DatabaseEvidence, InventoryLine, Reason, RelationEvidence
from drkit.tools.postgres import sessions
from drkit.tools.postgres.sessions import Session
from drkit.tools.postgres.targets import Target


def checks(session: Session, evidence: DatabaseEvidence) -> Iterator[Check]:
    """One check a relation and one a subject of the inventory, of those that this version of Harbor has.

    They share a session, which must stay open until they have run: to connect costs more than most of them.
    """
    with session.undone():
        found, guarded = torn.present(session), torn.guarded(session)
        subjects = inventory.subjects(session)
    then = {relation.name: relation for relation in evidence.relations or ()}
    for relation in found:
        name = relation.name
        look = partial(relation_holds, session, relation, then.get(name), guarded=relation.key in guarded)
        yield Check(CheckKind.RELATION, look, name)
    told = {line.name: line for line in evidence.inventory or ()}
    for subject in dict.fromkeys((*subjects, *told)):
        if subject not in subjects:
            yield Check(CheckKind.INVENTORY, partial(_gone, told[subject]), subject)
        else:
            look_up = partial(same_inventory, session, subject, told.get(subject), known=bool(told))
            yield Check(CheckKind.INVENTORY, look_up, subject)


def controls(target: Target, evidence: DatabaseEvidence) -> Iterator[Control | Unplanted]:
    """A row that others refer to is gone; planted where it costs least."""
    name = f"torn relation in {evidence.name}"
    rows = {t.table: t.rows for t in evidence.tables if t.schema == "public"}
    with sessions.connect(target) as session, session.undone():
        found = [r for r in torn.present(session) if r.litter == "false" and rows.get(r.child)]
        found.sort(key=lambda r: rows[r.child] + rows.get(r.parent, 0))
        chosen = next((r for r in found if torn.measure(session, r, trusted=True).rows), None)
    if chosen is None:
        yield Unplanted(name, "no row refers to another")
    else:
        planted = f"a row of {chosen.parent} deleted that {chosen.rows} refer to"
        yield Control(name, planted, lambda: _tear(target, chosen))


def _tear(target: Target, relation: Relation) -> Finding:
    with sessions.connect(target) as session, session.undone():
        # Neither a foreign key nor a trigger keeps the fault from being planted.
        session.execute("SET LOCAL session_replication_role = replica")
        if session.execute(torn.tearing(relation)) < 1:
            raise ToolFailed(f"no row of {relation.parent} could be deleted")
        return judge(relation, torn.measure(session, relation), None)


def relation_holds(
    session: Session, relation: Relation, then: RelationEvidence | None, *, guarded: bool
) -> Finding:
    """No row refers to something that is not there, but for those that Harbor itself leaves so."""
    with session.undone():
        torn.settle(session)
        found = torn.measure(session, relation, trusted=guarded)
    return judge(relation, found, then, guarded=guarded)


def judge(
    relation: Relation, found: RelationEvidence, then: RelationEvidence | None, *, guarded: bool = False
) -> Finding:
    """What a relation's counts mean; `then` is what they were at the time of the backup, if that is known."""
    if not found.rows:
        return not_provable(f"no {relation.rows}: there is nothing to look at")
    if found.torn:
        as_then = then is not None and then.torn == found.torn
        reason = Reason.AS_IN_PRODUCTION if as_then else None
        return failed(f"{wording.relation(found)}{_as_then(found, then)}", reason)
    said = f"{found.rows:,} {relation.rows}, each with its {relation.other}"
    if guarded:
        said += ": a foreign key, which PostgreSQL checked while it was restored"
        return passed(said, Reason.FOREIGN_KEY)
    if found.litter:
        said = f"{found.rows:,} {relation.rows}; {found.litter:,} of them without {relation.other}"
        return passed(f"{said}, as is normal", Reason.LITTER)
    return passed(said)


def _as_then(found: RelationEvidence, then: RelationEvidence | None) -> str:
    if then is None:
        return ""
    if then.torn == found.torn:
        return "; production was torn in the same way when this point was taken: repair it there"
    return f"; when this point was taken it was {then.torn:,}"


def same_inventory(session: Session, subject: str, then: InventoryLine | None, *, known: bool) -> Finding:
    """A subject of the inventory has the facts of the moment of the backup, if they are known."""
    with session.undone():
        found = inventory.tell(session, subject)
    if not known:
        return not_provable(f"{found.said}; this point has no record of its time to compare with")
    if then is not None and then.facts == found.facts:
        return passed(found.said)
    return failed(f"{found.said}; at the backup: {then.said if then else 'no such table'}")


def _gone(line: InventoryLine) -> Finding:
    return failed(f"its tables are not there; at the backup: {line.said}")
