"""Logging: to stderr, with the run's id on every line, and without the secrets that drkit has touched."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections import deque
from collections.abc import Callable
from typing import TextIO

_CREDENTIALS_IN_URL = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")
_MASK = "***"
registered: set[str] = set()


def register_secret(value: str) -> str:
    """Remember a secret, so that `redact` takes it out of everything that is said; returns it.

    Values under four characters are left alone: masking them would maul ordinary words.
    """
    if len(value) >= 4:
        registered.add(value)
    return value


def redact(text: str) -> str:
    """The text without any registered secret and without credentials in addresses."""
    for secret in sorted(registered, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return _CREDENTIALS_IN_URL.sub(rf"\1:{_MASK}@", text)


def encodable(text: str) -> str:
    """The text as UTF-8 can hold it: the name of a file may be no text at all."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# The last lines, for whoever is told how a run ended; services take a few kilobytes.
_recent: deque[str] = deque(maxlen=100)
_TAIL = 8000


def tail() -> str:
    """The last lines of the log, redacted."""
    return "\n".join(_recent)[-_TAIL:]


class _Handler(logging.StreamHandler[TextIO]):
    def emit(self, record: logging.LogRecord) -> None:
        """Past what is drawn on a terminal, if something is; and where nobody listens, nothing goes wrong."""
        line = self.format(record)
        _recent.append(line)
        with contextlib.suppress(OSError, ValueError):
            _write(line)


def _plainly(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


_write: Callable[[str], None] = _plainly


def write_through(write: Callable[[str], None] | None) -> None:
    """Send the lines of the log to what draws on the terminal; None: to stderr again."""
    global _write  # noqa: PLW0603 - there is one terminal
    _write = write or _plainly


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def set_up(run_id: str, *, verbose: bool = False, quiet: bool = False) -> None:
    """Send drkit's log to stderr; `verbose` shows which outside programs run, `quiet` only what is wrong.

    What libraries log or warn of is for whoever looks for a fault: a user is told by drkit's own errors.
    Without a handler Python would print it on stderr all the same, with secrets that nobody has redacted.
    """
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Formatter(f"%(asctime)s {run_id} %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z"))
    own = logging.getLogger("drkit")
    own.handlers = [handler]
    own.propagate = False
    own.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    logging.captureWarnings(True)
    logging.getLogger().handlers = [handler if verbose else logging.NullHandler()]
