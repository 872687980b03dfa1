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


def describe(schema: int) -> str:
    """`Harbor 2.14.0 (schema 170)`; the number alone for one that is not known."""
    version = _VERSIONS.get(schema)
    return f"Harbor {version} (schema {schema})" if version else f"Harbor (schema {schema})"
