"""What was found in Harbor's database, in words; for whoever has manifests alone, and no database."""

from __future__ import annotations

from collections.abc import Iterable

from drkit.harbor import versions
from drkit.harbor.relations import RELATIONS
from drkit.model import RelationEvidence, SchemaFault
from drkit.tools.tally import first_few


def printable(text: object, longest: int = 160) -> str:
    """Text out of the database as one line that cannot steer a terminal."""
    line = "".join(char if char.isprintable() else "?" for char in str(text))
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def schema_fault(fault: SchemaFault, schema: int | None) -> str:
    """The fault in a sentence."""
    match fault:
        case SchemaFault.DIRTY:
            return "schema_migrations is dirty: a migration broke off, and Harbor's core refuses to start"
        case SchemaFault.MISSING:
            return "there is no schema_migrations: Harbor's core does not start on it"
        case SchemaFault.EMPTY:
            return "schema_migrations has no row: Harbor's core does not start on it"
        case SchemaFault.UNKNOWN:
            return (
                f"schema {schema} is of a Harbor that this drkit does not know (it knows {versions.RANGE}):"
                " what it checks may not be all there is"
            )


def schema_hint(fault: SchemaFault) -> str:
    """What to do about it."""
    if fault is SchemaFault.UNKNOWN:
        return "use a newer drkit"
    return "finish or undo the migration in production, see Harbor's upgrade notes; then take a new backup"


def torn(database: str, found: Iterable[RelationEvidence]) -> str:
    """What is torn in a database of production; empty where nothing is."""
    lost = [relation(one) for one in found if one.torn]
    return f"production is inconsistent: in {database} {first_few(lost, '; ')}" if lost else ""


def relation(found: RelationEvidence) -> str:
    """`3 of 120 tags are without artifact (artifact_id 17, for one)`."""
    known = next((one for one in RELATIONS if one.name == found.name), None)
    example = f" ({printable(found.example)}, for one)" if found.example else ""
    if known is None:
        # Measured by another version of drkit.
        return f"{found.name}: {found.torn:,} of {found.rows:,} are torn{example}"
    return f"{found.torn:,} of {found.rows:,} {known.rows} are without {known.other}{example}"
