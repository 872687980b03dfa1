"""A drill's report as files: JSON for programs, a page for people, and the envelope where it is signed."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from drkit.errors import ConfigError, DrkitError, NoSpace, of_system
from drkit.logs import redact
from drkit.model import CheckKind, DrillNote, DrillReport, Outcome
from drkit.reports import controls, sentences, statements
from drkit.reports.jsonable import jsonable
from drkit.reports.text import templates
from drkit.reports.units import duration, moment, size

PAGE = "report.html"
DATA = "report.json"
ENVELOPE = "report.dsse.json"
# So many of the drills before stand on the page.
_EARLIER = 12


def look(directory: Path) -> None:
    """Make the directory if need be, and see that files can be written there; raises ConfigError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise _refused(directory, error) from None


def write(report: DrillReport, directory: Path, text: str, envelope: bytes | None) -> None:
    """Write them into a directory, which is made if need be; raises ConfigError, NoSpace.

    `text` is the page; empty where there is none that anybody should read. What is not whole is removed.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / DATA).write_text(json.dumps(jsonable(report), indent=1), encoding="utf-8")
        if text:
            (directory / PAGE).write_text(text, encoding="utf-8")
        if envelope is not None:
            (directory / ENVELOPE).write_bytes(envelope)
    except OSError as error:
        with contextlib.suppress(OSError):
            for name in (DATA, PAGE, ENVELOPE):
                (directory / name).unlink(missing_ok=True)
        raise _refused(directory, error) from None


def _refused(directory: Path, error: OSError) -> DrkitError:
    if isinstance(of_system(error), NoSpace):
        said = f"no space is left for the report in {directory}: {error.strerror}"
        return NoSpace(said, path=str(directory), hint="make room there")
    return ConfigError(f"cannot write the report to {directory}: {error.strerror}", hint="see --report")


def render(report: DrillReport, sentence: str, earlier: Sequence[DrillNote] = (), *, signed: bool) -> str:
    """The page: one file, no script, nothing fetched from elsewhere.

    `sentence` is the verdict; `earlier` are the drills before this one, the oldest first.
    """
    good = report.outcome is Outcome.PASSED and all(objective.met for objective in report.objectives)
    if report.upgrade is not None:
        good = good and report.upgrade.outcome is Outcome.PASSED
    environment = templates(
        duration=duration,
        moment=moment,
        size=size,
        server=statements.server,
        coverage=statements.coverage,
    )
    return environment.get_template("drill.html").render(
        report=report,
        signed=signed,
        good=good,
        sentence=redact(sentence),
        earlier=tuple(reversed(earlier[-_EARLIER:])),
        reread=[sentences.reread(each, report.finished_at) for each in report.reread],
        evidence=jsonable(controls.evidence([report])),
        plain=jsonable(report),
        folded=jsonable(statements.fold(report.checks)),
        came_back=jsonable(statements.came_back(report.checks)),
        relations=jsonable(statements.alike(report.checks, CheckKind.RELATION)),
    )
