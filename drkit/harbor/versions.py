"""Which Harbor wrote a schema: the number of its last migration (make/migrations/postgresql)."""

from __future__ import annotations

import re

_VERSIONS = {
    110: "2.8.0",
    111: "2.8.1 or later",
    120: "2.9",
    130: "2.10",
    140: "2.11",
    150: "2.12",
    160: "2.13",
    170: "2.14.0",
    171: "2.14.1 or later",
    180: "2.15.0 to 2.15.2",
    181: "2.15.3 or later",
    190: "2.16",
}


RANGE = f"schema {min(_VERSIONS)} to {max(_VERSIONS)}"


def known(schema: int) -> bool:
    """Whether it is among the schemas that drkit's checks were written for.

    A patch release may bring a migration of its own, whose number lies between two that are named here.
    """
    return min(_VERSIONS) <= schema <= max(_VERSIONS)


def describe(schema: int) -> str:
    """`Harbor 2.14.0 (schema 170)`; for a number between two, the version of the one below."""
    if schema in _VERSIONS:
        return f"Harbor {_VERSIONS[schema]} (schema {schema})"
    if not known(schema):
        return f"Harbor (schema {schema})"
    below = _VERSIONS[max(number for number in _VERSIONS if number < schema)]
    return f"Harbor {below.removesuffix(' or later')} or later (schema {schema})"


# The first release of each schema: what `v2.15.1` and later patches of its minor bring.
_FIRST = {
    (2, 8, 0): 110,
    (2, 8, 1): 111,
    (2, 9, 0): 120,
    (2, 10, 0): 130,
    (2, 11, 0): 140,
    (2, 12, 0): 150,
    (2, 13, 0): 160,
    (2, 14, 0): 170,
    (2, 14, 1): 171,
    (2, 15, 0): 180,
    (2, 15, 3): 181,
    (2, 16, 0): 190,
}
_TAG = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?!\d)")

Release = tuple[int, int, int]


def release(tag: str) -> Release | None:
    """The release that the tag of one of Harbor's images names: `v2.14.1` is (2, 14, 1)."""
    found = _TAG.match(tag)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def schema_of(found: Release) -> int | None:
    """The schema that a release brings, None where drkit does not know its minor version."""
    of_minor = [first for first in _FIRST if first[:2] == found[:2] and first <= found]
    return _FIRST[max(of_minor)] if of_minor else None


def fits(found: Release, schema: int) -> bool:
    """Whether a release's own schema is that one; a patch of its minor may have a number in between."""
    brings = schema_of(found)
    if brings is None or not known(schema):
        return False
    return brings == max(number for number in _VERSIONS if number <= schema)


def named(schema: int) -> str:
    """The Harbor that a schema is of, without the schema's number: `Harbor 2.15.0 to 2.15.2`."""
    return describe(schema).rpartition(" (")[0]
