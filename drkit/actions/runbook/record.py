"""What is remembered of runbooks in the state directory: where they are, what for, and who has practised."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from drkit import __version__, config
from drkit.errors import ConfigError
from drkit.files import replace_file
from drkit.model import utc_now

_NAME = "runbooks.json"


@dataclass(frozen=True)
class Record:
    """Where the runbooks were written, of which settings, by which drkit; and when each was practised."""

    directory: str = ""
    settings: str = ""
    drkit: str = ""
    rendered_at: datetime | None = None
    practised: dict[str, datetime] = field(default_factory=dict)


_ADAPTER = TypeAdapter(Record)


def read(state: Path) -> Record:
    """The record; an empty one where there is none, or where it cannot be understood."""
    try:
        return _ADAPTER.validate_json((state / _NAME).read_bytes())
    except (FileNotFoundError, ValidationError):
        return Record()
    except OSError as error:
        raise ConfigError(
            f"cannot read {state / _NAME}: {error.strerror}", hint="give it to drkit's user"
        ) from None


def rendered(settings: config.Config, directory: Path) -> None:
    """Note that all runbooks were written there."""
    state = settings.site.state
    now = replace(
        read(state),
        directory=str(directory),
        settings=fingerprint(settings),
        drkit=__version__,
        rendered_at=utc_now(),
    )
    _write(state, now)


def practised(settings: config.Config, name: str) -> None:
    """Note that a runbook was practised today."""
    state = settings.site.state
    known = read(state)
    _write(state, replace(known, practised={**known.practised, name: utc_now()}))


def _write(state: Path, record: Record) -> None:
    try:
        replace_file(state / _NAME, _ADAPTER.dump_json(record, indent=1).decode())
    except OSError as error:
        raise ConfigError(
            f"cannot write {state / _NAME}: {error.strerror}", hint="give the directory to drkit's user"
        ) from None


def fingerprint(settings: config.Config) -> str:
    """What changes with every setting: SHA-256 of them all."""
    return hashlib.sha256(settings.model_dump_json(by_alias=True).encode()).hexdigest()
