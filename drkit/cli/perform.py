"""One place where results are shown and errors become exit codes."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from drkit import logs
from drkit.cli import streams
from drkit.errors import DrkitError, Interrupted, ToolFailed, UsageError
from drkit.progress import Listener, silent

if TYPE_CHECKING:
    from drkit.cli.paper import Paper
    from drkit.config import Config

log = logging.getLogger(__name__)

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LATER_SECONDS = 0.01
# Options of drkit itself, which people write after the verb.
_BEFORE = ("--config", "--verbose", "-v", "--quiet", "-q")


@dataclass(frozen=True)
class Options:
    """The options before the verb."""

    config: Path | None
    verbose: bool
    quiet: bool = False


@dataclass
class Run:
    """What a command gets: its settings, read when first asked for, and who is told of progress."""

    options: Options
    listener: Listener = field(default=silent)

    @property
    def config_path(self) -> Path:
        """The file that the settings come from."""
        from drkit.config import find_config

        return find_config(self.options.config)

    @cached_property
    def settings(self) -> Config:
        """The configuration; raises ConfigError."""
        from drkit.config import load_config

        return load_config(self.config_path)


def perform(
    context: typer.Context,
    command: str,
    as_json: bool,
    work: Callable[[Run], T],
    show: Callable[[Paper, T], None],
) -> None:
    """Do the work, show its result or its error, and leave with the right exit code."""
    _listen_to_signals()
    _forbid_core_dumps()
    options: Options = context.obj
    logs.set_up(f"{command}[{os.getpid()}]", verbose=options.verbose, quiet=options.quiet)
    run = Run(options)
    try:
        with ExitStack() as stack:
            # The scheduler's verbs draw on the terminal themselves.
            if not options.quiet and command != "scheduler":
                run.listener = _watch(stack, command)
            result = work(run)
    except (DrkitError, KeyboardInterrupt, typer.Abort) as error:
        known = error if isinstance(error, DrkitError) else Interrupted("interrupted")
        _show_error(command, as_json, known, show)
        _aftermath(run, command, known)
        raise typer.Exit(known.exit_code) from None
    lost = _show_result(command, as_json, result, show) if as_json or not options.quiet else None
    _aftermath(run, command, None)
    if lost is not None:
        _complain(lost)
        raise typer.Exit(lost.exit_code)


def _listen_to_signals() -> None:
    # Loaded here, where a command runs that needs it anyway, and not in the middle of something.
    from drkit.tools.process import in_the_middle

    def _interrupt(_number: int, frame: FrameType | None) -> None:
        if in_the_middle(frame):
            signal.signal(signal.SIGALRM, _interrupt)
            signal.setitimer(signal.ITIMER_REAL, _LATER_SECONDS)
            return
        # Once is enough: a second signal must not cut the tidying up short.
        for sign in _SIGNALS:
            signal.signal(sign, signal.SIG_IGN)
        raise Interrupted("interrupted")

    for sign in _SIGNALS:
        # What we were told to ignore (by nohup, say) stays ignored.
        if signal.getsignal(sign) is not signal.SIG_IGN:
            signal.signal(sign, _interrupt)


def _forbid_core_dumps() -> None:
    # Loaded here for the same reason: `--help` holds no secrets.
    from drkit.tools import core_dumps

    core_dumps.forbid()


def _watch(stack: ExitStack, command: str) -> Listener:
    from drkit.cli.watching import Watcher

    return stack.enter_context(Watcher(sys.stderr, command))


def _aftermath(run: Run, command: str, error: DrkitError | None) -> None:
    """Tell metrics and people; what goes wrong there is logged and changes no exit code."""
    if command not in ("backup", "drill", "expire", "verify"):
        return
    from drkit.actions.aftermath import tell

    try:
        tell(run.settings, command, error)
    except DrkitError as problem:
        # A configuration that cannot be read is the error that has been shown already.
        if error is None or problem.message != error.message:
            log.warning("%s", problem.message)


def _show_result(
    command: str, as_json: bool, result: T, show: Callable[[Paper, T], None]
) -> DrkitError | None:
    """Print a result; returns what to say where it could not be written."""

    def write() -> None:
        if as_json:
            _print_json(command, True, result, None)
        else:
            show(_paper(), result)

    return _written(write)


def _written(write: Callable[[], None]) -> DrkitError | None:
    """Write to stdout. Where its reader has gone (`| head`), nobody wants the rest: that is no error."""
    try:
        write()
        sys.stdout.flush()
    except OSError as error:
        streams.hush(sys.stdout)
        if isinstance(error, BrokenPipeError):
            return None
        said = f"the result could not be written: {error.strerror}"
        return ToolFailed(said, hint="what was asked for is done; see where standard output goes")
    return None


def _show_error(command: str, as_json: bool, error: DrkitError, show: Callable[[Paper, Any], None]) -> None:
    def write() -> None:
        if as_json:
            _print_json(command, False, error.result, error)
        elif error.result is not None:
            show(_paper(), error.result)

    lost = _written(write)
    if lost or not as_json:
        _complain(error)


def _complain(error: DrkitError) -> None:
    """The two lines for a person, if anybody is there to read them."""
    try:
        print(f"error: {_one_line(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"hint: {_one_line(error.hint)}", file=sys.stderr)
        sys.stderr.flush()
    except OSError:
        streams.hush(sys.stderr)


def _one_line(words: str) -> str:
    """Without secrets, and without anything that moves the cursor: a file's name may hold it."""
    return "".join(letter if letter.isprintable() else " " for letter in logs.redact(words))


def _print_json(command: str, ok: bool, result: object, error: DrkitError | None) -> None:
    from drkit.reports.jsonable import jsonable

    said = error and {
        "kind": error.kind,
        "message": logs.redact(error.message),
        "hint": logs.redact(error.hint),
    }
    envelope = {"schema": 1, "command": command, "ok": ok, "result": jsonable(result), "error": said}
    print(json.dumps(envelope))


def _paper() -> Paper:
    from drkit.cli.paper import Paper

    return Paper(sys.stdout)


def report_usage(error: Exception, arguments: Sequence[str]) -> int:
    """Show an error that arose outside any command: a wrong command line, or a bug. Returns the exit code."""
    if isinstance(error, typer.Abort):
        known: DrkitError = Interrupted("interrupted")
    elif isinstance(error, typer.TyperException):
        known = UsageError(_usage_message(error), hint=_usage_hint(error))
    elif isinstance(error, DrkitError):
        known = error
    else:
        known = _bug(error)
    command = _verb(arguments)
    _show_error(command, "--json" in arguments, known, lambda _paper, _result: None)
    return known.exit_code


def _verb(arguments: Sequence[str]) -> str:
    """The first word that is neither an option nor the value of `--config`; empty if there is none.

    With the second, where the first is the name of a group.
    """
    found: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--config":
            next(words, None)
        elif not word.startswith("-"):
            found.append(word)
    return " ".join(found[: 2 if found[:1] == ["keys"] else 1])


def _usage_message(error: Exception) -> str:
    """A sentence in drkit's own manner: lower case, no full stop."""
    said = str(getattr(error, "format_message", lambda: str(error))())
    # pydantic reads the values for typer, and says so.
    said = said.replace("Value error, ", "").strip().rstrip(".")
    return said[:1].lower() + said[1:]


def _usage_hint(error: Exception) -> str:
    option = getattr(error, "option_name", None)
    if option in _BEFORE and getattr(getattr(error, "ctx", None), "parent", None) is not None:
        return f"it stands before the verb: drkit {option}{' FILE' if option == '--config' else ''} VERB"
    if option == "--json":
        return "it stands after the verb: drkit VERB --json"
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context else "see `drkit --help`"


def _bug(error: Exception) -> DrkitError:
    """A bug is one sentence too; the traceback is there for whoever asks for it."""
    if os.environ.get("DRKIT_TRACEBACK"):
        # By ourselves: what an exception quotes may be a secret.
        print(logs.redact("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    said = f"{type(error).__name__}: {error}"
    return DrkitError(
        f"a bug in drkit: {said}", hint="run it again with DRKIT_TRACEBACK=1 and report what it shows"
    )
