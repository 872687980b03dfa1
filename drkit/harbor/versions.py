"""Which Harbor wrote a schema: the number of its last migration (make/migrations/postgresql)."""

from __future__ import annotations

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
