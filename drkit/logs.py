"""Logging: to stderr, with the run's id on every line, and without the secrets that drkit has touched.

As text for a person, or as JSON lines for systemd's journal and what collects logs.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TextIO

_CREDENTIALS_IN_URL = re.compile(r"(?<=://)([^/\s:@]*):([^/\s]+)@")
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
    # Few texts have an address in them, and to look for more than this takes many times as long.
    return _CREDENTIALS_IN_URL.sub(rf"\1:{_MASK}@", text) if "://" in text else text


def encodable(text: str) -> str:
    """The text as UTF-8 can hold it: the name of a file may be no text at all."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# The last lines, for whoever is told how a run ended; services take a few kilobytes.
_recent: deque[str] = deque(maxlen=100)
_TAIL = 8000


def tail() -> str:
    """The last lines of the log, redacted."""
    # Once more, for a secret may have become known since: a hook has printed it before drkit read it, say.
    return redact("\n".join(_recent))[-_TAIL:]


class _Handler(logging.StreamHandler[TextIO]):
    def __init__(self, text: logging.Formatter) -> None:
        super().__init__(sys.stderr)
        self._text = text

    def emit(self, record: logging.LogRecord) -> None:
        """Past what is drawn on a terminal, if something is; and where nobody listens, nothing goes wrong."""
        line = self.format(record)
        _recent.append(self._text.format(record))
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


class _Text(logging.Formatter):
    def __init__(self, run_id: str) -> None:
        super().__init__(f"%(asctime)s {run_id} %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")

    def format(self, record: logging.LogRecord) -> str:
        return _harmless(redact(super().format(record)))


def _harmless(text: str) -> str:
    """One event that can be seen to be one: nothing in it moves the cursor, and further lines are indented.

    What is logged may come from the name of a file or from another program, which else could write lines that
    look like drkit's own.
    """
    if text.isprintable():
        return text
    lines = encodable(text).replace("\r\n", "\n").split("\n")
    return "\n    ".join(
        "".join(letter if letter.isprintable() or letter == "\t" else "?" for letter in line)
        for line in lines
    )


class _Ecs(logging.Formatter):
    """One JSON object a line, whose fields are named as in the Elastic Common Schema."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, object] = {
            "@timestamp": at.replace("+00:00", "Z"),
            "log.level": record.levelname.lower(),
            "message": record.getMessage(),
            "ecs.version": _ECS_VERSION,
            "log.logger": record.name,
            "process.pid": record.process,
            "process.thread.name": record.threadName,
            **_context,
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info and record.exc_info[0]:
            fields["error.type"] = record.exc_info[0].__name__
            fields["error.stack_trace"] = self.formatException(record.exc_info)
        # Before it is JSON: there a secret may look otherwise. And in ASCII, so that no letter ends the line.
        return json.dumps({name: _plain(value) for name, value in fields.items() if value is not None})


def _plain(value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    return encodable(redact(str(value)))


_ECS_VERSION = "8.11.0"
# The attribute of a record that has fields of its own: `log.info("...", extra={logs.FIELDS: {...}})`.
FIELDS = "ecs"
_context: dict[str, object] = {}
_json = False


class Form(StrEnum):
    """What the log's lines look like."""

    TEXT = "text"
    JSON = "json"


def form_of(environment: Mapping[str, str], descriptor: int) -> Form:
    """What suits whoever reads stderr: JSON for systemd's journal, unless DRKIT_LOG_FORMAT says otherwise.

    JOURNAL_STREAM is inherited by what has its stderr elsewhere: it names the device and inode of the
    journal's (systemd.exec(5)). Raises ValueError for a DRKIT_LOG_FORMAT that there is not.
    """
    if said := environment.get("DRKIT_LOG_FORMAT"):
        return Form(said)
    try:
        status = os.fstat(descriptor)
    except OSError:
        return Form.TEXT
    journal = environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
    return Form.JSON if journal else Form.TEXT


def use(form: Form) -> None:
    """Choose what the lines look like from now on."""
    global _json  # noqa: PLW0603 - there is one stderr
    _json = form is Form.JSON


def as_json() -> bool:
    """Whether every line on stderr is to be JSON."""
    return _json


def note_fields(**fields: object) -> None:
    """Fields of every line from now on, `__` for a dot: `drkit__site="registry"`; only JSON has them."""
    _context.update({name.replace("__", "."): value for name, value in fields.items()})


def set_up(run_id: str, *, verbose: bool = False, quiet: bool = False) -> None:
    """Send drkit's log to stderr; `verbose` shows which outside programs run, `quiet` only what is wrong.

    What libraries log or warn of is for whoever looks for a fault: a user is told by drkit's own errors.
    Without a handler Python would print it on stderr all the same, with secrets that nobody has redacted.
    """
    _context.clear()
    note_fields(service__name="drkit", drkit__run=run_id)
    text = _Text(run_id)
    handler = _Handler(text)
    handler.setFormatter(_Ecs() if _json else text)
    own = logging.getLogger("drkit")
    own.handlers = [handler]
    own.propagate = False
    own.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    logging.captureWarnings(True)
    logging.getLogger().handlers = [handler if verbose else logging.NullHandler()]
