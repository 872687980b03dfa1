"""Programs of the site's own around a verb: before it, after it however it ended, and after a failure."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from drkit import config
from drkit.actions.doctor.finding import Finding
from drkit.errors import DrkitError, HookFailed, Interrupted, ToolFailed
from drkit.files import writable_by_others
from drkit.logs import encodable
from drkit.tools.process import execute
from drkit.tools.process.command import Command, find_program

log = logging.getLogger(__name__)

_SHOWN_LINES, _SHOWN_BYTES = 100, 1 << 16


@dataclass(frozen=True)
class Ending:
    """How the verb ended that a program runs after."""

    error: DrkitError | None
    point: str = ""

    @property
    def outcome(self) -> str:
        """`succeeded`, `failed` or `interrupted`."""
        if self.error is None:
            return "succeeded"
        return "interrupted" if isinstance(self.error, Interrupted) else "failed"


def wanted(hooks: Sequence[config.Hook], verb: str, ending: Ending | None) -> tuple[config.Hook, ...]:
    """Those that run before the verb (no ending), or after it, in the order of the configuration; pure."""
    if ending is None:
        moments: tuple[str, ...] = ("before",)
    else:
        moments = ("after", "failed") if ending.error else ("after",)
    return tuple(hook for hook in hooks if verb in hook.verbs and hook.when in moments)


def environment(site: str, verb: str, hook: config.Hook, ending: Ending | None) -> dict[str, str]:
    """What a program is told, beside what every program of drkit's gets; no secret is among it."""
    told = {"DRKIT_SITE": site, "DRKIT_VERB": verb, "DRKIT_WHEN": hook.when}
    if ending is not None:
        code = ending.error.exit_code if ending.error else 0
        told |= {"DRKIT_OUTCOME": ending.outcome, "DRKIT_EXIT_CODE": str(code), "DRKIT_POINT": ending.point}
        told["DRKIT_ERROR"] = ending.error.kind if ending.error else ""
    return told


def before(settings: config.Config, verb: str) -> None:
    """Run what is to run before the verb; raises HookFailed for the first that had to succeed and did not."""
    for hook in wanted(settings.hooks, verb, None):
        why = _run(settings.site.name, verb, hook, None)
        if why and hook.required:
            raise _failed(hook, why, f"{verb} was not begun")


def after(settings: config.Config, verb: str, ending: Ending) -> HookFailed | None:
    """Run what is to run after the verb, all of it; the first that had to succeed and did not."""
    first = None
    for hook in wanted(settings.hooks, verb, ending):
        why = _run(settings.site.name, verb, hook, ending)
        if why and hook.required and first is None:
            first = _failed(hook, why, f"{verb} itself {ending.outcome}")
    return first


def _failed(hook: config.Hook, why: str, more: str) -> HookFailed:
    said = f"the program {hook.command[0]} of [[hook]] {why}; {more}"
    return HookFailed(said, hint="see what it says in the log; required = false makes it a warning")


def _run(site: str, verb: str, hook: config.Hook, ending: Ending | None) -> str:
    """Run a program and log what it says; why it failed, empty where it did not."""
    try:
        why = _why_not(hook, environment(site, verb, hook, ending), late=ending is not None)
    except (OSError, ToolFailed) as error:
        why = f"cannot run: {error}"
    if why:
        log.warning("hook %s %s", hook.command[0], why)
    return why


def _why_not(hook: config.Hook, told: Mapping[str, str], *, late: bool) -> str:
    """Its output goes to a file: what it leaves behind may hold that for ever, and nobody waits for it."""
    together = ("sh", "-c", 'exec "$@" 2>&1', "sh", find_program(hook.command[0]), *hook.command[1:])
    # What runs after the verb runs also where that was interrupted.
    command = Command(together, told, tidying=late, nothing_behind=True, called=hook.command[0])
    with tempfile.TemporaryFile() as output:
        done = execute.into_file_within(command, output, hook.timeout.total_seconds(), _SHOWN_BYTES)
        output.seek(0)
        said = output.read(_SHOWN_BYTES).decode("utf-8", "replace").splitlines()
    for line in said[:_SHOWN_LINES]:
        log.info("hook %s: %s", hook.command[0], encodable(line))
    if done is None:
        return f"took longer than {hook.timeout} and was ended"
    return f"ended with exit code {done.code}" if done.code else ""


def examine(settings: config.Config) -> Iterator[Finding]:
    """For doctor: whether the programs are there, and whether others could put their own in their place."""
    for hook in settings.hooks:
        path = find_program(hook.command[0], hint="a [[hook]] names it")
        if other := writable_by_others(path):
            raise ToolFailed(
                f"others may change what [[hook]] runs: {other}",
                hint="let root or drkit's user own it, and nobody else write to it",
            )
    yield Finding("hooks", "ok", f"{len(settings.hooks)} programs that nobody else may change")
