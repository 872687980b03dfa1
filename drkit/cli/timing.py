"""`drkit timers`: the schedule handed to the system; and what doctor says of that."""

from __future__ import annotations

import logging
import os
import pwd
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from drkit.actions.doctor.finding import Finding
from drkit.cli.run import Run
from drkit.daemon import crontab, installation, units
from drkit.daemon.installation import Files, Form
from drkit.errors import ConfigError, UsageError
from drkit.model import clock_changes, utc_now
from drkit.model.clock_changes import local_zone
from drkit.state.directory import State
from drkit.tools.process.command import which

if TYPE_CHECKING:
    from drkit.cli.output import Output
    from drkit.config import Config

log = logging.getLogger(__name__)

_OPTIONS: dict[Form, str] = {"timers": "", "daemon": " --daemon", "cron": " --cron"}


@dataclass(frozen=True)
class Timers:
    """The schedule in another system's words; what was written where, and what was removed.

    `next` is the command that makes the system heed it, empty where it does so by itself.
    """

    text: str
    files: tuple[str, ...]
    installed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    directory: str | None = None
    next: str = ""


def make_timers(
    run: Run, form: Form, *, install: bool, remove: bool, directory: Path | None = None
) -> Timers:
    """The schedule for systemd or cron, put in place or taken away.

    Raises UsageError for options that contradict each other, ConfigError for no schedule.
    """
    if install and remove:
        raise UsageError("one of --install and --remove at a time", hint="leave one out")
    if directory is not None and not (install or remove):
        raise UsageError("--directory is for --install and --remove", hint="add one of them")
    settings = run.settings
    if remove:
        return _remove(settings, directory)
    schedule = settings.schedule
    if not schedule.jobs:
        raise ConfigError("there is nothing on the schedule", hint="give [schedule] a line such as backup")
    for said in clock_changes.warnings(schedule.jobs, schedule.zone, utc_now()):
        log.warning("%s", said)
    if form == "cron" and _another_zone(settings, utc_now()):
        log.warning(
            "the times are those of %s, which cronie alone understands: other crons go by %s",
            schedule.timezone,
            local_zone(),
        )
    program, path = Path(which("drkit") or sys.argv[0]).absolute(), run.config_path.absolute()
    files = files_of(settings, form, program, path, system=install)
    if not install:
        if form == "cron":
            return Timers(files.marked[crontab.file_name(settings.site.name)], ())
        text = "\n".join(f"# {name}\n{text}" for name, text in files.marked.items())
        return Timers(text, tuple(files.texts))
    return _install(settings, files, (directory or installation.default_directory(form)).absolute())


def _another_zone(settings: Config, now: datetime) -> bool:
    zone = settings.schedule.zone
    return now.astimezone(zone).utcoffset() != now.astimezone(local_zone()).utcoffset()


def _install(settings: Config, files: Files, directory: Path) -> Timers:
    changed, removed = installation.install(files, directory)
    state = State(settings.site.state)
    state.prepare()
    installation.remember(state.root, directory)
    found = installation.find(files.site, installation.directories(state.root))
    if others := sorted({str(each.path.parent) for each in found if each.form != files.form}):
        log.warning("this site's schedule is in %s as well: each job would run twice", " and ".join(others))
    names = " ".join(units.to_enable(files.texts))
    command = "" if files.form == "cron" else f"systemctl daemon-reload && systemctl enable --now {names}"
    return Timers("", tuple(files.texts), changed, removed, str(directory), command)


def _remove(settings: Config, directory: Path | None) -> Timers:
    places = [directory] if directory else installation.directories(settings.site.state)
    found = installation.find(settings.site.name, places)
    installation.remove(found)
    names = " ".join(each.path.name for each in found if each.form != "cron")
    command = f"systemctl daemon-reload && systemctl stop {names}" if names else ""
    return Timers("", (), (), tuple(str(each.path) for each in found), "", command)


def files_of(settings: Config, form: Form, program: Path, config_path: Path, *, system: bool) -> Files:
    """A form of the schedule; for the directories of the `system`, or for a person's own crontab."""
    return Files(
        form,
        settings.site.name,
        _texts(settings, form, program, config_path, system=system),
        # Wherever drkit is called from.
        installation.fingerprint(_texts(settings, form, Path("/drkit"), config_path, system=True)),
    )


def _texts(settings: Config, form: Form, program: Path, path: Path, *, system: bool) -> dict[str, str]:
    match form:
        case "timers":
            return units.timers(settings, program, path)
        case "daemon":
            return units.daemon(settings, program, path)
        case "cron":
            user = pwd.getpwuid(os.geteuid()).pw_name if system else None
            return {crontab.file_name(settings.site.name): crontab.lines(settings, program, path, user=user)}
        case _:
            assert_never(form)


def show_timers(paper: Output, found: Timers) -> None:
    """Print the units or lines, or say what was installed or removed."""
    if found.directory is None:
        paper.line(found.text, end="")
        return
    for name in found.files:
        paper.print(f"{found.directory}/{name}{'' if name in found.installed else ' (as it was)'}")
    for name in found.removed:
        paper.print(f"{name} (removed)")
    if not (found.files or found.removed):
        paper.print("There is nothing of this site's to remove.")
    if found.next:
        paper.print()
        paper.line(f"Next: {found.next}")


def look(settings: Config, config_path: Path) -> Iterator[Finding]:
    """What doctor says: whether anything runs the schedule here, and whether that is the present one."""
    if not settings.schedule.jobs:
        return
    state = State(settings.site.state)
    found = installation.find(settings.site.name, installation.directories(state.root))
    forms = [form for form in installation.FORMS if any(each.form == form for each in found)]
    runs = state.scheduler_runs
    keepers = [*forms, *(["a scheduler that runs"] if runs and "daemon" not in forms else [])]
    if len(keepers) > 1:
        said = f"it is kept more than once: {' and '.join(keepers)}"
        yield Finding("timers", "warning", said, "`drkit timers --remove` removes them; install one of them")
    for form in forms:
        files = files_of(settings, form, Path("/drkit"), config_path.absolute(), system=True)
        where = next(each.path.parent for each in found if each.form == form)
        if differs := installation.differences(files, found):
            said = f"the {form} in {where} are older than the configuration: {differs}"
            default = where == installation.default_directory(form)
            words = f"timers{_OPTIONS[form]} --install{'' if default else f' --directory {where}'}"
            hint = f"run `drkit {words}`, and the command that it prints"
            yield Finding("timers", "warning", said, hint)
        elif len(keepers) == 1:
            yield Finding("timers", "ok", f"{form} in {where}, as the schedule asks for", "")
    if not forms:
        said = "drkit's scheduler runs" if runs else "none in the places of systemd and cron"
        yield Finding("timers", "ok", said, "")
