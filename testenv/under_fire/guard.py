"""drkit as a command: what it answered, and how a backup of a busy registry ended."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Nothing here takes minutes: what does has locked itself up.
_PATIENCE = 300.0

# What of the registry's life may be in a backup's way, as --json names it.
_DISTURBANCES = {"garbage_collection": "garbage collection", "tables_in_use": "schema change"}


@dataclass(frozen=True)
class Answer:
    """How a command ended; `envelope` is the object that --json prints."""

    code: int
    envelope: dict[str, Any]
    stderr: str
    seconds: float

    @property
    def point(self) -> str | None:
        """The point that a backup has sealed."""
        return self.envelope["result"]["id"] if self.code == 0 else None

    @property
    def attempts(self) -> int:
        """How often a sealed backup had to begin."""
        return int(self.envelope["result"]["attempts"])

    @property
    def red(self) -> list[dict[str, Any]]:
        """The checks of a drill that did not pass."""
        result = self.envelope["result"] or {}
        return [check for check in result.get("checks", ()) if check["outcome"] in ("failed", "error")]

    @property
    def of_a_migration(self) -> bool:
        """Whether a drill failed for a schema that was being migrated at the backup, and for nothing else."""
        bad = self.red
        schema = [c for c in bad if c["kind"] == "schema" and c["reason"] == "as_in_production"]
        return self.code == 5 and bool(bad) and bad == schema

    @property
    def complaint(self) -> str:
        """The error's sentence, or nothing."""
        error = self.envelope["error"]
        return "" if error is None else str(error["message"])

    @property
    def reason(self) -> str | None:
        """What of the registry's life kept a backup from being sealed; None if that is not what it says."""
        return None if self.code != 3 else _DISTURBANCES.get(self.envelope["error"]["disturbance"])


@dataclass(frozen=True)
class Guard:
    """drkit with its configuration."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def ask(self, *words: str) -> Answer:
        """Run a command to its end; TimeoutExpired if it has none."""
        began = time.monotonic()
        done = subprocess.run(
            [*self.words, *words, "--json"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=dict(self.environment),
            cwd="/",
            timeout=_PATIENCE,
            check=False,
        )
        took = time.monotonic() - began
        return Answer(done.returncode, json.loads(done.stdout), done.stderr, took)
