"""Which other machines' recovery points this one has taken over, in a file of the state directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from drkit.errors import ConfigError
from drkit.files import replace_file

FILE = "taken_over.json"


@dataclass(frozen=True)
class Record:
    """A machine, the name of its host, and up to when its points were taken over."""

    machine: str
    host: str
    until: AwareDatetime


_ADAPTER = TypeAdapter(tuple[Record, ...])


def read(state: Path) -> tuple[Record, ...]:
    """What was taken over; raises ConfigError where it cannot be told: retention would go by a guess."""
    path = state / FILE
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="see [site] state") from None
    except ValidationError:
        raise ConfigError(
            f"{path} is not understood",
            hint="remove it, and take over again: `drkit points --take-over HOST`",
        ) from None


def add(state: Path, machines: Sequence[tuple[str, str]], until: datetime) -> None:
    """Note machines, each with the name of its host; raises ConfigError."""
    names = {machine for machine, _ in machines}
    kept = [record for record in read(state) if record.machine not in names]
    found = (*kept, *(Record(machine, host, until) for machine, host in machines))
    try:
        replace_file(state / FILE, _ADAPTER.dump_json(found, indent=1).decode() + "\n")
    except OSError as error:
        raise ConfigError(f"cannot write {state / FILE}: {error.strerror}", hint="see [site] state") from None
