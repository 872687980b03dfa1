"""One place where results are shown and errors become exit codes."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

import typer

from drkit import logs
from drkit.cli import auditing, crash, limiting, recording
from drkit.cli.auditing import Audited
from drkit.cli.ending import Ending, complain, show_error
from drkit.cli.recording import Recorded, Trail
from drkit.errors import DrkitError, Interrupted, UsageError
from drkit.progress import Listener, silent

if TYPE_CHECKING:
    from drkit.cli.output import Output
    from drkit.config import Config

log = logging.getLogger(__name__)

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LATER_SECONDS = 0.01
# Options of drkit itself, which people write after the verb.
_BEFORE = ("--config", "--verbose", "-v", "--quiet", "-q", "--log-format")
_WITH_VALUE = {"--config": " FILE", "--log-format": " FORMAT"}


@dataclass(frozen=True)
class Options:
    """The options before the verb."""

    config: Path | None
    verbose: bool
    quiet: bool = False


@dataclass
class Run:
    """What a command gets: its settings, read when first asked for, and the listener for its progress."""

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

        found = load_config(self.config_path)
        logs.note_fields(drkit__site=found.site.name)
        return found

    @property
    def state(self) -> Path | None:
        """The state directory, where the configuration says which."""
        try:
            return self.settings.site.state
        except Exception:  # noqa: BLE001 - what is wrong with it is told by whoever needs it
            return None


def perform(
    context: typer.Context,
    command: str,
    as_json: bool,
    work: Callable[[Run], T],
    show: Callable[[Output, T], None],
    recorded: Recorded | Callable[[Run], Recorded] | None = None,
    *,
    bar: bool = True,
    audited: bool = False,
    brief: bool = False,
) -> None:
    """Do the work, show its result or its error, and leave with the right exit code.

    `bar` is false for what draws on the terminal itself; what is `brief` keeps all that it reads, and ends.
    `recorded` is for commands that somebody relies on: how they end is written down, and told. As a function
    it is called before the work. Like these, `audited` ones stand in the audit trail.
    """
    be_deaf = _listen_to_signals()
    _forbid_core_dumps()
    if brief:
        gc.disable()
    options: Options = context.obj
    logs.set_up(f"{command}[{os.getpid()}]", verbose=options.verbose, quiet=options.quiet)
    began = time.monotonic()
    logs.note_fields(event__action=command)
    run = Run(options)
    crash.watch_threads(command, run.state)
    trail: Trail | None = None
    result: T | None = None
    failed: DrkitError | None = None
    audit: Audited | None = None
    try:
        if recorded or audited:
            audit = auditing.begin(run.state, command)
        if recorded:
            trail = recording.trail(
                run.settings, recorded if isinstance(recorded, Recorded) else recorded(run)
            )
            trail.begin()
        with ExitStack() as stack:
            # The scheduler's verbs draw on the terminal themselves.
            if bar and not options.quiet and command != "scheduler":
                run.listener = _watch(stack, command)
            if trail:
                verb = trail.recorder.attempt.verb
                result = limiting.around(run.settings, verb, lambda: work(run))
            else:
                result = work(run)
        crash.raise_from_threads(result)
    except BaseException as error:  # noqa: BLE001 - no exception ends a command in silence
        failed = crash.known(error, command, run.state)
    if audit:
        audit.end(failed, failed.result if failed else result)
    ending = Ending(command, as_json, quiet=options.quiet, state=run.state)
    failed, lost = ending.show(failed, result, show)
    if trail:
        failed = ending.record(trail, failed, result)
    elif recorded and failed:
        begun = recorded if isinstance(recorded, Recorded) else recording.VERBS[command]
        ending.tell_without_settings(run.config_path, begun, failed)
    be_deaf()
    if lost is not None:
        complain(lost)
    ended = failed or lost
    _log_end(command, ended, time.monotonic() - began)
    if ended:
        raise typer.Exit(ended.exit_code)


def _log_end(command: str, error: DrkitError | None, seconds: float) -> None:
    """Say how it ended, for what collects logs; a person sees that."""
    if not logs.as_json():
        return
    fields = {
        "event.outcome": "failure" if error else "success",
        "event.duration": round(seconds * 1e9),
        "drkit.exit_code": error.exit_code if error else 0,
        "error.type": error.kind if error else None,
    }
    said = f"{command} {'failed' if error else 'succeeded'}"
    log.info("%s", said, extra={logs.FIELDS: fields})


def _listen_to_signals() -> Callable[[], None]:
    """From now on a signal interrupts; what is returned ends that, when nothing is left to interrupt."""
    # Loaded here, where a command runs that needs it anyway, and not in the middle of something.
    from drkit import tidying
    from drkit.cli import wakeup
    from drkit.tools.process.execute import in_the_middle

    asked = False
    raised: Interrupted | None = None

    def _interrupt(_number: int, frame: FrameType | None) -> None:
        nonlocal asked, raised
        # Once is enough: a second signal must not cut the tidying up short.
        if asked:
            return
        if in_the_middle(frame) or tidying.under_way():
            _later()
            return
        asked, raised = True, Interrupted("interrupted")
        raise raised

    def _later() -> None:
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, _LATER_SECONDS)

    def _not_raised(unraisable: sys.UnraisableHookArgs) -> None:
        nonlocal asked
        if unraisable.exc_value is not None and unraisable.exc_value is raised:
            # It met Python where nothing can be raised, as in the callback of a weak reference.
            asked = False
            _later()
        else:
            sys.__unraisablehook__(unraisable)

    sys.unraisablehook = _not_raised
    for sign in _SIGNALS:
        # What we were told to ignore (by nohup, say) stays ignored.
        if signal.getsignal(sign) is not signal.SIG_IGN:
            signal.signal(sign, _interrupt)
    wakeup.ensure()

    def be_deaf() -> None:
        nonlocal asked
        asked = True
        _ignore_signals()

    return be_deaf


def _ignore_signals() -> None:
    """All is done, said and written down: a signal that comes now changes neither exit code nor words.

    Blocked meanwhile: Python complains of one that came before its handler was taken away.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    for sign in _SIGNALS:
        signal.signal(sign, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _forbid_core_dumps() -> None:
    # Loaded here for the same reason: `--help` holds no secrets.
    from drkit.tools.process import core_dumps

    core_dumps.forbid()


def _watch(stack: ExitStack, command: str) -> Listener:
    from drkit.cli.progress import Watcher

    return stack.enter_context(Watcher(sys.stderr, command))


def report_usage(error: Exception, arguments: Sequence[str]) -> int:
    """Show an error that arose outside any command: a wrong command line, or a bug. Returns the exit code."""
    if isinstance(error, typer.Abort):
        known: DrkitError = Interrupted("interrupted")
    elif isinstance(error, typer.TyperException):
        known = UsageError(_usage_message(error), hint=_usage_hint(error))
    elif isinstance(error, DrkitError):
        known = error
    else:
        return _crashed(error, arguments)
    command = _verb(arguments)
    if logs.as_json():
        logs.set_up(f"{command}[{os.getpid()}]")
    show_error(command, "--json" in arguments, known, None)
    return known.exit_code


def _crashed(error: Exception, arguments: Sequence[str]) -> int:
    """A crash before the command itself began, as of an import: recorded and told as one within it."""
    command = _verb(arguments)
    logs.set_up(f"{command}[{os.getpid()}]")
    run = Run(Options(_config_in(arguments), verbose=False))
    known = crash.known(error, command, run.state)
    show_error(command, "--json" in arguments, known, None)
    if run.state and command in recording.VERBS and "--dry-run" not in arguments:
        try:
            recording.trail(run.settings, recording.VERBS[command]).end(known, None)
        except Exception as problem:  # noqa: BLE001 - what is broken may be what it takes to write it down
            log.warning("%s", problem)
    return known.exit_code


def _config_in(arguments: Sequence[str]) -> Path | None:
    words = iter(arguments)
    for word in words:
        if word == "--config":
            return Path(next(words, ""))
        if word.startswith("--config="):
            return Path(word.partition("=")[2])
    return None


def _verb(arguments: Sequence[str]) -> str:
    """The first word that is neither an option nor the value of one; empty if there is none.

    With the second, where the first is the name of a group.
    """
    found: list[str] = []
    words = iter(arguments)
    for word in words:
        if word in _WITH_VALUE:
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
        return f"it belongs before the command: drkit {option}{_WITH_VALUE.get(option, '')} VERB"
    if option == "--json":
        return "it belongs after the command: drkit COMMAND --json"
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context else "see `drkit --help`"
