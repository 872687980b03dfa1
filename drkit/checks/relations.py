"""Checks on a restored Harbor database: what belongs together is there together, and nothing is gone.

The content is what was dumped (checks/tables.py proves that); here it is asked whether it makes sense, for a
production that was torn already comes back torn.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, not_provable, passed
from drkit.errors import ToolFailed
from drkit.harbor import inventory, torn
from drkit.harbor.relations import PREFIX, TORN_BEFORE, Relation
from drkit.model import DatabaseEvidence, InventoryLine, RelationEvidence
from drkit.tools import postgres
from drkit.tools.postgres import Target


def checks(target: Target, evidence: DatabaseEvidence) -> Iterator[Check]:
    """One check a relation and one a subject of the inventory, of those that this version of Harbor has."""
    with postgres.connect(target) as session, session.undone():
        found, guarded = torn.present(session), torn.guarded(session)
        subjects = inventory.subjects(session)
    then = {relation.name: relation for relation in evidence.relations or ()}
    for relation in found:
        name = relation.name
        look = partial(relation_holds, target, relation, then.get(name), guarded=relation.key in guarded)
        yield Check(PREFIX + name, look)
    told = {line.name: line for line in evidence.inventory or ()}
    for subject in dict.fromkeys((*subjects, *told)):
        if subject not in subjects:
            yield Check(inventory.PREFIX + subject, partial(_gone, told[subject]))
        else:
            look_up = partial(same_inventory, target, subject, told.get(subject), known=bool(told))
            yield Check(inventory.PREFIX + subject, look_up)


def controls(target: Target, evidence: DatabaseEvidence) -> Iterator[Control | Unplanted]:
    """A row that others refer to is gone; planted where it costs least."""
    name = f"torn relation in {evidence.name}"
    rows = {t.table: t.rows for t in evidence.tables if t.schema == "public"}
    with postgres.connect(target) as session, session.undone():
        found = [r for r in torn.present(session) if r.litter == "false" and rows.get(r.child)]
        found.sort(key=lambda r: rows[r.child] + rows.get(r.parent, 0))
        chosen = next((r for r in found if torn.measure(session, r, trusted=True).rows), None)
    if chosen is None:
        yield Unplanted(name, "no row refers to another")
    else:
        planted = f"a row of {chosen.parent} deleted that {chosen.rows} refer to"
        yield Control(name, planted, lambda: _tear(target, chosen))


def _tear(target: Target, relation: Relation) -> Finding:
    with postgres.connect(target) as session, session.undone():
        # Neither a foreign key nor a trigger keeps the fault from being planted.
        session.execute("SET LOCAL session_replication_role = replica")
        if session.execute(torn.tearing(relation)) < 1:
            raise ToolFailed(f"no row of {relation.parent} could be deleted")
        return judge(relation, torn.measure(session, relation), None)


def relation_holds(
    target: Target, relation: Relation, then: RelationEvidence | None, *, guarded: bool
) -> Finding:
    """No row refers to something that is not there, but for those that Harbor itself leaves so."""
    with postgres.connect(target) as session, session.undone():
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
        return failed(f"{torn.describe(found)}{_as_then(found, then)}")
    said = f"{found.rows:,} {relation.rows}, each with its {relation.other}"
    if guarded:
        return passed(f"{said}: a foreign key, which PostgreSQL checked while it was restored")
    if found.litter:
        return passed(
            f"{found.rows:,} {relation.rows}; {found.litter:,} of them without {relation.other}, as is normal"
        )
    return passed(said)


def _as_then(found: RelationEvidence, then: RelationEvidence | None) -> str:
    if then is None:
        return ""
    if then.torn == found.torn:
        return f"; {TORN_BEFORE}: mend it there"
    return f"; when this point was taken it was {then.torn:,}"


def same_inventory(target: Target, subject: str, then: InventoryLine | None, *, known: bool) -> Finding:
    """A subject of the inventory is told of in the words of the moment of the backup, if they are known."""
    with postgres.connect(target) as session, session.undone():
        found = inventory.tell(session, subject).said
    if not known:
        return not_provable(f"{found}; this point has no record of its time to compare with")
    if then is not None and then.said == found:
        return passed(found)
    return failed(f"{found}; at the backup: {then.said if then else 'no such table'}")


def _gone(line: InventoryLine) -> Finding:
    return failed(f"its tables are not there; at the backup: {line.said}")
