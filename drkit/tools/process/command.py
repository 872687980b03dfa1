"""A command: a program with its arguments, how it ended, and what is to be said where it failed.

Nothing starts here; see process.py for that.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from drkit.errors import ToolFailed, ToolMissing
from drkit.logs import redact

# This very program. Without -P Python looks for it in the working directory first, which may be anybody's.
OWN_PROGRAM = (sys.executable, "-P", "-m", "drkit")
_USUAL = ("/usr/local/bin", "/usr/bin", "/bin")
_SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin")
# What a tool may need of ours; everything else is given by name.
_INHERITED = (
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
# What PostgreSQL's programs say: where they are, what went wrong, and the server's DETAIL and HINT (in its
# own language) after it. That a worker of theirs died is never the reason.
_POSTGRES = re.compile(r"pg_\w+: (?:error|fatal): (?!a worker process died)")
_ENTRY = re.compile(r"pg_restore: from TOC entry \d+; \d+ \d+ (.+)")
_MORE = re.compile(r"[^\W\d]+:  ")


class Owner(Protocol):
    """Follows the life of a process, which inherits its descriptor and first writes its number to that."""

    descriptor: int

    def lives(self) -> None:
        """It lives at this moment; called every few seconds."""

    def ended(self, code: int | None) -> None:
        """It has ended with this exit code, or could not be started (None)."""


@dataclass(frozen=True)
class Command:
    """A program with its arguments, what it needs of the environment, and as whom and where it runs.

    `mounts` are `mount` commands; what they mount is seen by this program alone, and is gone with it. A
    command that is `tidying` runs even when drkit is being interrupted: it takes away what must not stay. One
    that leaves `nothing_behind` is killed where it is not needed any more, others are asked to end.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    directory: Path | None = None
    mounts: tuple[tuple[str, ...], ...] = ()
    tidying: bool = False
    nothing_behind: bool = False
    # What it is called in messages, where the first word is only what starts it.
    called: str = ""
    # Makes what follows the process's life.
    owner: Callable[[], Owner | None] | None = None
    # How long it may move nothing before it is ended; None for as long as it likes.
    stall_limit: timedelta | None = None
    # Whether it comes no further by itself, by a line of its standard error: a sentence on why, or nothing.
    stuck: Callable[[str], str] | None = None
    # What it does and where, for messages about it.
    about: str = ""
    # What tells it to end in good order.
    end_signal: signal.Signals = signal.SIGTERM
    # How many seconds to wait for the end of its standard error, which a process that it left may hold.
    last_words: float = 5.0

    @property
    def program(self) -> str:
        """The program's bare name, for messages."""
        return self.called or Path(self.arguments[0]).name

    @property
    def what(self) -> str:
        """The program and what it does, for messages."""
        return f"{self.program} {self.about}".rstrip()


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
    """The absolute path of a program; raises ToolMissing, which says where it was looked for."""
    found = which(name)
    if found is None:
        advice = hint or f"install the package that brings {name}"
        raise ToolMissing(f"{name} is not installed", hint=f"{advice}; it is not in {search_path()}")
    return found


def which(name: str) -> str | None:
    """The absolute path of a program, or None."""
    return shutil.which(name, path=search_path())


def search_path() -> str:
    """Where programs are looked for: PATH, or the usual places where it is empty, and the system's sbin.

    cron's PATH, and that of many an ordinary user, lacks the directories with sbin.
    """
    own = [directory for directory in os.environ.get("PATH", "").split(":") if directory]
    return ":".join(dict.fromkeys([*(own or _USUAL), *_SYSTEM]))


def clean_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: a few harmless variables of ours, the C locale, and `extra`."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**kept, "PATH": search_path(), "LC_ALL": "C", **extra}


def failure(command: Command, completed: Completed, said: Sequence[str] | None = None) -> ToolFailed:
    """The error for a tool that failed: its name, how it ended, and why (by default its last words)."""
    how = (
        f"was killed by signal {-completed.code}"
        if completed.code < 0
        else f"failed with exit code {completed.code}"
    )
    words = redact(" / ".join(_last_words(completed.stderr) if said is None else said))
    return ToolFailed(f"{command.program} {how}: {words}" if words else f"{command.program} {how}")


def _last_words(stderr: str) -> list[str]:
    """The server's own reason; else the last three lines; where none is an error, the last error."""
    lines = stderr.strip().splitlines()
    if reason := server_reason(lines):
        return reason
    errors = [line for line in lines if _ERROR.search(line)]
    return lines[-3:] if not errors or errors[-1] in lines[-3:] else errors[-1:]


def server_reason(lines: Sequence[str]) -> list[str]:
    """The first error that one of PostgreSQL's programs told, with what the server said about it.

    Empty where no such program has spoken. What they say later follows from the first error, or is the query.
    """
    first = next((number for number, line in enumerate(lines) if _POSTGRES.search(line)), None)
    if first is None:
        return []
    entry = _ENTRY.search(lines[first - 1]) if first else None
    said = f"{lines[first]} ({entry[1]})" if entry else lines[first]
    return [said, *(line for line in lines[first + 1 : first + 4] if _MORE.match(line))]
