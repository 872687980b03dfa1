"""Exceptions that are none of drkit's own: each becomes one sentence, and a file that has the rest."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import secrets
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import typer

from drkit import __version__, logs
from drkit.errors import Bug, DrkitError, Interrupted, of_system
from drkit.files import write_new
from drkit.model import utc_now

log = logging.getLogger(__name__)

_KEPT = 20

_in_threads: list[DrkitError] = []


def known(error: BaseException, command: str, state: Path | None) -> DrkitError:
    """The error as one of drkit's own; a bug's traceback goes to a file below `state`, if that is known."""
    if isinstance(error, typer.Abort | KeyboardInterrupt):
        return Interrupted("interrupted")
    if isinstance(error, DrkitError):
        return error
    if isinstance(error, OSError) and (refused := of_system(error)):
        return refused
    return _bug(error, command, state)


def watch_threads(command: str, state: Path | None) -> None:
    """Log at once what ends a thread, and make the command fail for it."""
    _in_threads.clear()

    def hook(died: threading.ExceptHookArgs) -> None:
        error = died.exc_value
        if error is None or isinstance(error, Interrupted):
            return
        found = error if isinstance(error, DrkitError) else _bug(error, command, state)
        log.error("%s", found.message)
        _in_threads.append(found)

    threading.excepthook = hook


def raise_from_threads(result: object) -> None:
    """Raise what ended a thread that nobody waited for, with the result that there is all the same."""
    if _in_threads:
        first = _in_threads[0]
        first.result = result
        raise first


def _bug(error: BaseException, command: str, state: Path | None) -> Bug:
    text = _text(error, command)
    file = _write(text, command, state)
    if file is None:
        log.debug("%s", text)
        hint = "its traceback could not be written; --verbose shows it"
    else:
        hint = f"report it with {file}, which has the traceback"
    return Bug(f"a bug in drkit: {_sentence(error)}", hint=hint)


def _sentence(error: BaseException) -> str:
    """`KeyError: 'lost'`; what an exception says of itself may fail as well."""
    try:
        words = str(error)
    except Exception:  # noqa: BLE001 - it is the traceback that matters
        words = ""
    return " ".join(f"{type(error).__name__}: {words}".split()).rstrip(": ")


def _text(error: BaseException, command: str) -> str:
    """Redacted, for what an exception quotes may be a secret; of the command line only what holds none."""
    words = [command, *(word.partition("=")[0] for word in sys.argv[1:] if word.startswith("-"))]
    lines = [
        f"drkit {' '.join(words)}",
        f"at {utc_now():%Y-%m-%d %H:%M:%S} UTC, process {os.getpid()}, {threading.current_thread().name}",
        "",
        f"drkit {__version__}",
        f"Python {platform.python_version()} on {platform.platform()}",
        *_restic(),
        *_packages(),
        "",
        *traceback.format_exception(error),
    ]
    return logs.encodable(logs.redact("\n".join(lines)))


def _restic() -> Iterator[str]:
    """restic's version, where it can be asked: what has crashed may be what asks."""
    with contextlib.suppress(Exception):
        from drkit.tools.restic import repository

        yield f"restic {'.'.join(map(str, repository.version()))}"


def _packages() -> Iterator[str]:
    """The versions of what drkit is built on."""
    # Loaded here: it takes longer than many a command, and nothing has crashed yet.
    from importlib import metadata

    with contextlib.suppress(metadata.PackageNotFoundError):
        for requirement in sorted(metadata.requires("drkit") or ()):
            if ";" in requirement:
                continue
            name = requirement.split("[")[0].split(">")[0].split("=")[0].split("<")[0].strip()
            with contextlib.suppress(metadata.PackageNotFoundError):
                yield f"{name} {metadata.version(name)}"


def _write(text: str, command: str, state: Path | None) -> Path | None:
    """Where the text was written, for its owner alone; None where nothing can be written at all."""
    name = f"{utc_now():%Y%m%d-%H%M%S}-{command.replace(' ', '-') or 'drkit'}-{secrets.token_hex(3)}.txt"
    if state is not None:
        with contextlib.suppress(OSError):
            directory = state / "crashes"
            directory.mkdir(mode=0o700, exist_ok=True)
            write_new(directory / name, text)
            _forget_old(directory)
            return directory / name
    with contextlib.suppress(OSError):
        # Also where no directory can be written to.
        path = Path(tempfile.gettempdir()) / f"drkit-crash-{name}"
        write_new(path, text)
        return path
    return None


def _forget_old(directory: Path) -> None:
    with contextlib.suppress(OSError):
        for path in sorted(directory.glob("*.txt"))[:-_KEPT]:
            path.unlink(missing_ok=True)
