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

# What a backup may say when the registry itself was in its way, by what was.
_REASONS = {
    "garbage collection": ("garbage collection",),
    "schema change": ("could not be held still", "tables were locked or changed"),
}


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
    def complaint(self) -> str:
        """The error's sentence, or nothing."""
        error = self.envelope["error"]
        return "" if error is None else str(error["message"])

    @property
    def reason(self) -> str | None:
        """What of the registry's life kept a backup from being sealed; None if that is not what it says."""
        if self.code != 3:
            return None
        said = self.complaint
        return next((what for what, words in _REASONS.items() if any(word in said for word in words)), None)


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
