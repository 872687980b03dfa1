"""A registry without Harbor, as its own configuration file describes it; see `read`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from drkit.model.needed import Needed
from drkit.registry.bucket_parameters import RegistryBucket

Program = Literal["distribution", "zot"]
# Where a file names others, and what these are for: keys from the top on, `*` for every entry of a list.
References = Sequence[tuple[tuple[str, ...], str]]


@dataclass(frozen=True)
class RegistryInstallation:
    """One registry: its root directory, or its bucket, and what it needs besides images.

    `host` is the address that clients use, where the file has it; `remarks` are sentences on what is set
    there and not backed up.
    """

    program: Program
    file: Path
    root: Path | None = None
    bucket: RegistryBucket | None = None
    host: str = ""
    needed: tuple[Needed, ...] = ()
    remarks: tuple[str, ...] = field(default=())


def host_of(url: object) -> str:
    """The host of an address, with or without a scheme; empty where there is none."""
    said = str(url or "").strip()
    try:
        return urlsplit(said if "//" in said else f"//{said}").hostname or ""
    except ValueError:
        return ""


def section(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """What stands below a key, if it has keys of its own."""
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def referred(document: Mapping[str, Any], file: Path, references: References) -> Iterator[Needed]:
    """The files that a document names, each once; a relative one stands beside the document."""
    seen = set()
    for keys, purpose in references:
        for value in _values(document, keys):
            path = file.parent / value
            if path not in seen:
                seen.add(path)
                yield Needed(path, purpose)


def _values(found: object, keys: tuple[str, ...]) -> Iterator[str]:
    if not keys:
        if isinstance(found, str) and found.strip():
            yield found.strip()
        elif isinstance(found, list):
            yield from (str(each) for each in found if each)
    elif keys[0] == "*":
        entries = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
        for each in entries:
            yield from _values(each, keys[1:])
    elif isinstance(found, dict):
        yield from _values(found.get(keys[0]), keys[1:])
