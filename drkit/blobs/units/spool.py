"""The units of a run that others do, kept until all of it is certain: in a file, for there may be many."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import starmap
from pathlib import Path
from typing import NamedTuple

from drkit.blobs.inventory import Entry
from drkit.blobs.units import messages
from drkit.blobs.units.canary import Canary
from drkit.blobs.units.unit import Outcome, Unit
from drkit.tools.scratch import scratch_database


class Planned(NamedTuple):
    """A unit, and the canary that was planted in it."""

    unit: Unit
    canary: Canary


class Spool:
    """Units with their canaries, and what was found of each; `path` is a new file."""

    def __init__(self, path: Path) -> None:
        self._store = scratch_database(path, autocommit=True)
        self._store.execute(
            "CREATE TABLE unit (number INTEGER PRIMARY KEY, blobs TEXT, canary TEXT, found TEXT)"
        )

    def close(self) -> None:
        """Close the file; it is the run's to remove."""
        self._store.close()

    def add(self, unit: Unit, canary: Canary) -> None:
        """Keep a unit; another canary takes the place of the one before."""
        self._store.execute(
            "INSERT OR REPLACE INTO unit VALUES (?, ?, ?, NULL)",
            (
                unit.number,
                _columns(unit.items),
                json.dumps([*_fields(canary.entry), canary.position, canary.digits]),
            ),
        )

    def keep(self, unit: Unit, found: dict[int, Outcome]) -> None:
        """Keep a unit that is done already."""
        self._store.execute(
            "INSERT INTO unit VALUES (?, ?, NULL, ?)",
            (unit.number, _columns(unit.items), json.dumps(messages.fields(found))),
        )

    def get(self, number: int) -> Planned:
        """A unit that was kept."""
        blobs, canary = self._store.execute(
            "SELECT blobs, canary FROM unit WHERE number = ?", (number,)
        ).fetchone()
        digest, key, size, version, position, digits = json.loads(canary)
        return Planned(_unit(number, blobs), Canary(Entry(digest, key, size, version), position, digits))

    def found(self, number: int, found: dict[int, Outcome]) -> None:
        """Keep what was found of a unit: by their place in it, what there is to say of blobs beyond DONE."""
        self._store.execute(
            "UPDATE unit SET found = ? WHERE number = ?", (json.dumps(messages.fields(found)), number)
        )

    def results(self) -> Iterator[tuple[Unit, dict[int, Outcome]]]:
        """Every unit and what was found of it, in their order; ValueError where that is not known of one."""
        for number, blobs, found in self._store.execute(
            "SELECT number, blobs, found FROM unit ORDER BY number"
        ):
            if found is None:
                raise ValueError(f"unit {number} is missing")
            yield _unit(number, blobs), messages.outcomes(json.loads(found))


def _fields(item: Entry) -> tuple[str, str, int, str | None]:
    return item.digest, item.key, item.size, item.version


def _columns(items: tuple[Entry, ...]) -> str:
    """Of millions of blobs columns are written in half the time that rows take."""
    digests, keys, sizes, versions, _ = zip(*items, strict=True)
    return json.dumps((digests, keys, sizes, versions))


def _unit(number: int, blobs: str) -> Unit:
    return Unit(number, tuple(starmap(Entry, zip(*json.loads(blobs), strict=True))))
