"""What a backup looks at in Harbor's database beside its tables: does it hang together, and what is in it?

Read in the very snapshot that is dumped, so that an operator is told on the day, and a drill can tell what
production had from what a restore did.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from drkit.database import locked
from drkit.database.locked import LockedDatabase
from drkit.errors import DatabaseBusy, SourceChanged, ToolFailed
from drkit.harbor import inventory, tables, torn, wording
from drkit.model import DatabaseEvidence, InventoryLine, RelationEvidence


@dataclass(frozen=True)
class HarborFacts:
    """Relations and inventory of one database; None for what is not Harbor's or could not be looked at."""

    relations: tuple[RelationEvidence, ...] | None = None
    inventory: tuple[InventoryLine, ...] | None = None
    warnings: tuple[str, ...] = ()


def with_evidence(
    held: LockedDatabase, gather: Callable[[], DatabaseEvidence]
) -> tuple[DatabaseEvidence, tuple[str, ...]]:
    """What `gather` finds with the facts in it, and what to warn of; both are looked for side by side.

    Relations between millions of rows take longer than many a dump. Raises what either does.
    """
    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look, held)
        evidence = gather()
        facts = looking.result()
    return replace(evidence, relations=facts.relations, inventory=facts.inventory), facts.warnings


def look(held: LockedDatabase) -> HarborFacts:
    """The facts of a held database.

    A version of Harbor whose tables are unlike those that are known must not keep a backup from being taken:
    it is a warning, and the drill that cannot look either is an error.
    """
    try:
        with locked.shared_session(held) as session:
            if not tables.is_harbor(session):
                return HarborFacts()
            lines = tuple(inventory.tell(session, subject) for subject in inventory.subjects(session))
            measured = tuple(torn.measure_all(session))
    except (DatabaseBusy, SourceChanged):
        # Somebody was in the way: this attempt is spoilt, and the next may not be.
        raise
    except ToolFailed as error:
        said = f"the relations of {held.name} could not be looked at: {error.message}"
        return HarborFacts(warnings=(said,))
    torn_there = wording.torn(held.name, measured)
    return HarborFacts(measured, lines, (torn_there,) if torn_there else ())
