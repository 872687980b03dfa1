"""A command: a program with its arguments, how it ended, and what is to be said where it failed.

Nothing starts here; see process.py for that.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from drkit.errors import ToolFailed, ToolMissing
from drkit.logs import redact

# What a tool may need of ours; everything else is given by name.
_INHERITED = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TZ",
    "SSH_AUTH_SOCK",
    "XDG_CONFIG_HOME",
    "RCLONE_CONFIG",
)
_ERROR = re.compile(r"\b(error|fatal|panic)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Command:
    """A program with its arguments, what it needs of the environment, and as whom and where it runs.

    `mounts` are `mount` commands; what they mount is seen by this program alone, and is gone with it. A
    command that is `tidying` runs even when drkit is being interrupted: it takes away what must not stay.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    directory: Path | None = None
    mounts: tuple[tuple[str, ...], ...] = ()
    tidying: bool = False
    # What it is called in messages, where the first word is only what starts it.
    called: str = ""

    @property
    def program(self) -> str:
        """The program's bare name, for messages."""
        return self.called or Path(self.arguments[0]).name


@dataclass(frozen=True)
class Completed:
    """How a process ended: exit code (negative: killed by that signal) and what it said."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode("utf-8", "replace")


def find_program(name: str, *, hint: str = "") -> str:
    """The absolute path of a program on PATH; raises ToolMissing."""
    found = shutil.which(name)
    if found is None:
        raise ToolMissing(f"{name} is not installed", hint=hint or f"install the package that brings {name}")
    return found


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: a few harmless variables of ours, the C locale, and `extra`."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**kept, "LC_ALL": "C", **extra}


def failure(command: Command, completed: Completed) -> ToolFailed:
    """The error for a tool that failed: its name, how it ended, and its last words."""
    how = (
        f"was killed by signal {-completed.code}"
        if completed.code < 0
        else f"failed with exit code {completed.code}"
    )
    words = redact(" / ".join(_last_words(completed.stderr)))
    return ToolFailed(f"{command.program} {how}: {words}" if words else f"{command.program} {how}")


def _last_words(stderr: str) -> list[str]:
    """The last three lines; where none is an error (pg_restore ends with the query), the last error."""
    lines = stderr.strip().splitlines()
    errors = [line for line in lines if _ERROR.search(line)]
    return lines[-3:] if not errors or errors[-1] in lines[-3:] else errors[-1:]
