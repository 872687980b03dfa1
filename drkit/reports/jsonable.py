"""drkit's values and how a command ended as plain JSON: dataclasses by field, times as ISO 8601 with zone."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from drkit.errors import BackupIncomplete, DrkitError
from drkit.logs import redact


def jsonable(value: object) -> Any:
    """The value as lists, dicts, strings, numbers, booleans and None."""
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return value.value
        case str():
            return redact(value)
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Path():
            return str(value)
        case dict():
            return {str(key): jsonable(each) for key, each in value.items()}
        case tuple() | list() | set() | frozenset():
            return [jsonable(each) for each in value]
        case _ if dataclasses.is_dataclass(value):
            kind: type = type(value)
            return {name: jsonable(getattr(value, name)) for name in _fields(kind)}
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")


@cache
def _fields(kind: type) -> tuple[str, ...]:
    """The names of a dataclass's fields: the same thousands of times in a long list."""
    return tuple(field.name for field in dataclasses.fields(kind))


def envelope(command: str, result: object, error: DrkitError | None) -> dict[str, Any]:
    """What `--json` prints of a command, and a webhook gets."""
    said = error and {
        "kind": error.kind,
        "message": redact(error.message),
        "hint": redact(error.hint),
        **({"disturbance": error.disturbance} if isinstance(error, BackupIncomplete) else {}),
    }
    return {"schema": 1, "command": command, "ok": error is None, "result": jsonable(result), "error": said}
