"""What a person is told of a configuration that is wrong: the key, its place, and the nearest known key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from drkit.config.site import Config
from drkit.config.sources import KINDS_OF_BLOBS
from drkit.errors import ConfigError


def explain(error: ValidationError, source: str) -> ConfigError:
    """What the first of pydantic's complaints says, for a person; `source` names the file."""
    errors = error.errors(include_url=False)
    # A misspelt key shows as an unknown one and a missing one: the unknown one tells more.
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    location = first["loc"]
    section = _section_of_blobs(location)
    if section:
        # The kind of blobs stands in the location, and is no key that a person wrote.
        location = (location[0], *location[2:])
    while isinstance(location[-1], int):  # an item of a list: its key is what a person looks for
        location = location[:-1]
    place, key = _place(location), str(location[-1])
    match first["type"]:
        case "extra_forbidden":
            keys = _keys_of(section) if section else _known_keys(location[:-1])
            near, known = difflib.get_close_matches(key, keys, n=1), ", ".join(keys)
            hint = f'did you mean "{near[0]}"?' if near else f"known keys are: {known}"
            return ConfigError(f'{source}: unknown key "{key}" {place}', hint=hint)
        case "missing":
            return _missing(source, key, place, top=len(location) == 1)
        case "union_tag_invalid":
            kinds = " or ".join(f'"{kind}"' for kind in KINDS_OF_BLOBS)
            return ConfigError(f'{source}: "kind" in [{key}] is wrong', hint=f"it is {kinds}")
        case "too_short":
            return ConfigError(f'{source}: "{key}" {place} is empty', hint="give at least one")
        case "value_error":
            return ConfigError(f'{source}: "{key}" {place} is wrong', hint=str(first["ctx"]["error"]))
        case _:
            pass
    said = first["msg"][0].lower() + first["msg"][1:]
    return ConfigError(
        f'{source}: "{key}" {place} is wrong: {said}',
        hint="see docs/configuration.md for its type and an example",
    )


def _missing(source: str, key: str, place: str, *, top: bool) -> ConfigError:
    if not top:
        return ConfigError(
            f'{source}: "{key}" is missing {place}', hint="it has no default; see docs/configuration.md"
        )
    heading = f"[[{key}]]" if key == "repository" else f"[{key}]"
    return ConfigError(
        f"{source}: there is no {heading}", hint="every site needs one; `drkit init` writes it"
    )


def _place(location: tuple[int | str, ...]) -> str:
    section = location[:-1]
    if not section:
        return "at the top level"
    if len(section) > 1 and isinstance(section[1], int):
        return f"in [[{section[0]}]] number {section[1] + 1}"
    return f"in [{section[0]}]"


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    section: type[BaseModel] = Config
    for step in location:
        if isinstance(step, str):
            field = next(f for name, f in section.model_fields.items() if step in (name, f.alias))
            section = next(sections_in(field.annotation))
    return _keys_of(section)


def _keys_of(section: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]


def _section_of_blobs(location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The section that a place within [blobs] is in, which its kind decides."""
    if len(location) < 2 or location[0] != "blobs":
        return None
    return KINDS_OF_BLOBS.get(str(location[1]))


def sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections' classes in `Site`, `Harbor | None`, `tuple[Database, ...]` or a choice of several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from sections_in(part)
