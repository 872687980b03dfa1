"""`drkit runbook`: write all runbooks of this site, or print one."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from drkit import config
from drkit.actions.runbook import record
from drkit.actions.runbook.facts import gather
from drkit.errors import ConfigError, UsageError
from drkit.files import make_directory, replace_file
from drkit.reports import runbooks
from drkit.reports.runbooks import NAMES, Runbook
from drkit.state.directory import State

PAGE = "runbooks.html"


@dataclass(frozen=True)
class RunbookFiles:
    """The runbooks that were written: their names and titles, and the page that has them all."""

    directory: str
    page: str
    runbooks: tuple[Runbook, ...]
    warnings: tuple[str, ...] = ()


def write(settings: config.Config, path: Path, output: Path | None) -> RunbookFiles:
    """Write every runbook as Markdown, and all of them as one page; raises ConfigError.

    `path` is the configuration's own, which the commands name.
    """
    state = State(settings.site.state)
    state.prepare()
    facts = gather(settings, path, record.read(state.root).practised)
    written = tuple(runbooks.render(facts, name) for name in NAMES)
    directory = (output or settings.runbook.directory or state.root / "runbooks").absolute()
    try:
        make_directory(directory, 0o755, exist_ok=True)
        for each in written:
            replace_file(directory / f"{each.name}.md", each.text, mode=0o644)
        replace_file(directory / PAGE, runbooks.page(facts, written), mode=0o644)
    except OSError as error:
        raise ConfigError(
            f"cannot write the runbooks to {directory}: {error.strerror}", hint="see --output"
        ) from None
    record.rendered(settings, directory)
    doubt = f"without what the repository has, for it cannot be read: {facts.unreadable}"
    return RunbookFiles(str(directory), str(directory / PAGE), written, (doubt,) if facts.unreadable else ())


def one(settings: config.Config, path: Path, name: str) -> Runbook:
    """One runbook, rendered now; raises UsageError where there is none of that name."""
    _refuse_unknown(name)
    return runbooks.render(gather(settings, path, record.read(settings.site.state).practised), name)


def practise(settings: config.Config, name: str) -> str:
    """Note that one was practised today; returns its name. Raises UsageError, ConfigError."""
    _refuse_unknown(name)
    State(settings.site.state).prepare()
    record.practised(settings, name)
    return name


def _refuse_unknown(name: str) -> None:
    if name not in NAMES:
        near = get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(NAMES)}"
        raise UsageError(f'there is no runbook "{name}"', hint=hint)
