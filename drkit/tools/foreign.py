"""Values that come from where somebody else may write, read with what the rest of drkit relies on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import SchemaValidator

# What lies outside cannot be shown in every time zone, and is nobody's.
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9900, 1, 1, tzinfo=UTC)


def validator(adapter: TypeAdapter[Any]) -> SchemaValidator:
    """What makes values of the adapter's kind, and raises pydantic's ValidationError.

    Times must have a zone, for one without cannot be compared with any other; numbers must be finite.
    """
    return SchemaValidator(_demanding(adapter.core_schema))


def _demanding(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_demanding(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    demands: dict[str, Any] = {}
    match schema.get("type"):
        case "datetime":
            demands = {"tz_constraint": "aware", "ge": _FIRST, "le": _LAST}
        case "float":
            demands = {"allow_inf_nan": False}
        case _:
            pass
    aside = ("metadata", "serialization")
    kept = {key: each if key in aside else _demanding(each) for key, each in schema.items()}
    return kept | demands
