"""A drill's report as files: JSON for programs, a page for people, and the envelope where it is signed."""

from __future__ import annotations

import json
from pathlib import Path

from drkit.errors import ConfigError
from drkit.model import CheckKind, DrillReport
from drkit.reports import statements
from drkit.reports.attestation import Signed
from drkit.reports.jsonable import jsonable
from drkit.reports.text import templates
from drkit.reports.units import duration, moment, size

PAGE = "report.html"
DATA = "report.json"
ENVELOPE = "report.dsse.json"


def write(report: DrillReport, directory: Path, signed: Signed | None) -> None:
    """Write them into a directory, which is made if need be; raises ConfigError."""
    text = signed.page if signed else render(report, signed=False)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / DATA).write_text(json.dumps(jsonable(report), indent=1), encoding="utf-8")
        (directory / PAGE).write_text(text, encoding="utf-8")
        if signed is not None:
            (directory / ENVELOPE).write_bytes(signed.envelope)
    except OSError as error:
        raise ConfigError(
            f"cannot write the report to {directory}: {error.strerror}", hint="see --report"
        ) from None


def render(report: DrillReport, *, signed: bool) -> str:
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
        signed=signed,
        plain=jsonable(report),
        folded=jsonable(statements.fold(report.checks)),
        came_back=jsonable(statements.came_back(report.checks)),
        relations=jsonable(statements.alike(report.checks, CheckKind.RELATION)),
    )
