"""Exit codes, kinds of errors and problems, metrics and JSON fields: the manual has those of the code."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime

import pytest

from drkit import errors
from drkit.actions.alarms.run import Notified, Sent
from drkit.actions.audit.plan import Fault, FaultKind
from drkit.actions.audit.result import AuditResult
from drkit.actions.backup.sealing import BackupResult
from drkit.actions.points import PointDetails, PointLine, PointList
from drkit.actions.trail import TrailReport
from drkit.model import DrillReport, PointStatus, ProblemKind, Status
from drkit.model.sites import SiteLine, Sites, SiteState
from drkit.model.trail import TrailEntry, TrailFault
from drkit.reports import metrics, site_metrics
from tests.samples import status
from tests.unit.manual.pages import DOCS, Section, codes
from tests.unit.test_errors import all_below

NOW = datetime(2026, 11, 29, 8, tzinfo=UTC)
RESULTS = {
    "backup": (BackupResult,),
    "show": (PointDetails, BackupResult),
    "points": (PointList, PointLine),
    "drill": (DrillReport,),
    "audit": (AuditResult, Fault),
    "notify": (Notified, Sent),
    "trail": (TrailReport, TrailEntry, TrailFault),
    "status": (Status,),
}


def first_column(section: Section) -> list[str]:
    """What stands between backticks in the first column of a section's table."""
    return [code for row in section.table() for code in codes(row[0])]


def test_exit_codes() -> None:
    codes_of_errors = {kind.exit_code for kind in all_below(errors.DrkitError)}
    rows = DOCS["exit-codes"].section("Exit codes").table()
    assert [int(row[0]) for row in rows] == sorted({0, *codes_of_errors})


def test_error_kinds_with_their_exit_codes() -> None:
    rows = DOCS["exit-codes"].section("Error kinds").table()
    documented = {codes(row[0])[0]: int(row[1]) for row in rows}
    assert documented == {kind("x").kind: kind.exit_code for kind in all_below(errors.DrkitError)}


@pytest.mark.parametrize("command", RESULTS)
def test_fields_of_json(command: str) -> None:
    rows = {codes(row[0])[0]: codes(row[1]) for row in DOCS["exit-codes"].section("JSON").table()}
    assert rows.keys() == RESULTS.keys()
    fields = {field.name for kind in RESULTS[command] for field in dataclasses.fields(kind)}
    assert set(rows[command]) <= fields | {status.value for status in PointStatus} | {"backup"}


def test_kinds_of_what_an_audit_calls_damage() -> None:
    documented = first_column(DOCS["audit"].section("What is damage"))
    assert documented == [kind.value for kind in FaultKind]


def test_kinds_of_problems() -> None:
    documented = first_column(DOCS["status"].sections[0])
    assert sorted(documented) == sorted(kind.value for kind in ProblemKind)


def test_metrics_and_states_of_many_sites() -> None:
    every = Sites("/sites", NOW, tuple(SiteLine("f", state.value, state, 0) for state in SiteState))
    written = set(re.findall(r"^(\w+)(?:\{| )", site_metrics.render(every), re.MULTILINE))
    assert set(first_column(DOCS["sites"].section("Metrics of all sites"))) == written
    assert first_column(DOCS["sites"].sections[0]) == [state.value for state in SiteState]


def test_metrics_with_their_labels() -> None:
    written: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(\w+)\{(.*)\} ", metrics.render(status(NOW)), re.MULTILINE):
        written[name] = set(re.findall(r'(\w+)="', labels)) - {"site"}
    rows = DOCS["status"].section("Metrics").table()
    assert {codes(row[0])[0]: set(codes(row[1])) for row in rows} == written
