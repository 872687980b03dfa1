"""A drill's report as two files: JSON for programs, a page for people."""

from __future__ import annotations

import json
from pathlib import Path

from drkit.errors import ConfigError
from drkit.model import CheckKind, DrillReport
from drkit.reports import statements
from drkit.reports.jsonable import jsonable
from drkit.reports.text import templates
from drkit.reports.units import duration, moment, size

PAGE = "report.html"
DATA = "report.json"


def write(report: DrillReport, directory: Path) -> None:
    """Write both files into a directory, which is made if need be; raises ConfigError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / DATA).write_text(json.dumps(jsonable(report), indent=1), encoding="utf-8")
        (directory / PAGE).write_text(render(report), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write the report to {directory}: {error.strerror}", hint="see --report"
        ) from None


def render(report: DrillReport) -> str:
    """The page: one file, no script, nothing fetched from elsewhere."""
    environment = templates(
        duration=duration,
        moment=moment,
        size=size,
        server=statements.server,
        coverage=statements.coverage,
    )
    return environment.get_template("drill.html").render(
        report=report,
        plain=jsonable(report),
        folded=jsonable(statements.fold(report.checks)),
        came_back=jsonable(statements.came_back(report.checks)),
        relations=jsonable(statements.alike(report.checks, CheckKind.RELATION)),
    )
