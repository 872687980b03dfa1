"""The alert rules, played by promtool on metrics as drkit itself writes them."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from drkit.model import Attempt, Objective, Outcome, Problem, ProblemKind, Status
from drkit.reports.metrics import render
from tests.needs import program
from tests.samples import drill_note, status

RULES = Path(__file__).parents[3] / "deploy" / "prometheus" / "drkit.rules.yml"
# promtool's clock begins at the epoch.
NOW = datetime(1970, 1, 6, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def fine() -> Status:
    """A site of which nothing is wrong."""
    found = status(NOW)
    primary, offsite = found.repositories
    full = drill_note("p", NOW - 2 * DAY)
    primary = replace(primary, last_quick_drill=None, last_drill=full, last_full_drill=full)
    offsite = replace(
        offsite,
        points=5,
        newest_point_at=NOW - DAY,
        rpo=Objective("rpo", 172_800, 86_400, met=True),
        last_full_drill=full,
        last_passed_drill=full,
    )
    return replace(
        found,
        green=True,
        objectives=tuple(replace(each, met=True) for each in found.objectives),
        findings=(),
        runs=tuple(run for run in found.runs if run.good),
        repositories=(primary, offsite),
    )


@dataclass(frozen=True)
class Case:
    """What is written at NOW and never again, and what fires how long after: alert -> how often."""

    name: str
    status: Status | None
    after: timedelta
    fires: dict[str, int]


def cases() -> Sequence[Case]:
    found = fine()
    primary, offsite = found.repositories
    bad_drill = drill_note("p", NOW - HOUR, outcome=Outcome.ERROR)
    (certificate,) = found.certificates
    killed = Attempt("9", "copy", "offsite", NOW - HOUR)
    objectives = found.objectives
    assert found.closure
    return (
        Case("nothing is wrong", found, HOUR, {}),
        Case("nothing was ever written", None, 2 * HOUR, {"DrkitMetricsAbsent": 1}),
        Case("a day later nothing was written", found, 25 * HOUR, {"DrkitCopyBehind": 2}),
        Case(
            "nothing was written for long",
            found,
            33 * HOUR,
            {"DrkitMetricsStale": 1, "DrkitRunOverdue": 1, "DrkitCopyBehind": 2},
        ),
        Case(
            "nothing for a week: no drill either",
            replace(
                found,
                objectives=(*objectives[:2], replace(objectives[2], target_seconds=7 * 86_400)),
                certificates=(replace(certificate, not_after=NOW + 25 * DAY),),
            ),
            6 * DAY,
            {
                "DrkitMetricsStale": 1,
                "DrkitRunOverdue": 2,
                "DrkitCopyBehind": 2,
                "DrkitDrillOverdue": 1,
                "DrkitCertificateExpiring": 1,
            },
        ),
        Case(
            "an objective is missed",
            replace(found, objectives=(replace(objectives[1], met=False), *objectives[2:])),
            HOUR,
            {"DrkitObjectiveMissed": 1},
        ),
        Case(
            "no drill ever",
            replace(
                found,
                objectives=(replace(objectives[2], actual_seconds=None, met=False),),
                last_passed_drill=None,
            ),
            HOUR,
            {"DrkitObjectiveMissed": 1},
        ),
        Case(
            "the copy alone is drilled",
            replace(found, repositories=(replace(primary, last_passed_drill=None), offsite)),
            HOUR,
            {},
        ),
        Case(
            "a drill came to no verdict",
            replace(found, repositories=(replace(primary, last_full_drill=bad_drill), offsite)),
            HOUR,
            {"DrkitDrillFailed": 1},
        ),
        Case(
            "the copy is behind",
            replace(found, repositories=(primary, replace(offsite, newest_point_at=NOW - 3 * DAY))),
            HOUR,
            {"DrkitCopyBehind": 1},
        ),
        Case(
            "there is no copy at all",
            replace(found, repositories=(primary, replace(offsite, newest_point_at=None))),
            HOUR,
            {"DrkitCopyBehind": 1},
        ),
        Case(
            "the copy cannot be read",
            replace(found, repositories=(primary, replace(offsite, points=None, newest_point_at=None))),
            HOUR,
            {"DrkitRepositoryUnreadable": 1},
        ),
        Case(
            "a certificate expires",
            replace(found, certificates=(replace(certificate, not_after=NOW + 20 * DAY),)),
            HOUR,
            {"DrkitCertificateExpiring": 1},
        ),
        Case(
            "a certificate has expired",
            replace(found, certificates=(replace(certificate, not_after=NOW - DAY),)),
            HOUR,
            {"DrkitCertificateExpiring": 1},
        ),
        Case("a run was killed", replace(found, runs=(*found.runs, killed)), HOUR, {"DrkitRunFailed": 1}),
        Case(
            "a problem is red",
            replace(found, findings=(Problem(ProblemKind.COLLAPSE, "production lost most of it"),)),
            HOUR,
            {"DrkitProblem": 1},
        ),
        Case(
            "a problem is not red",
            replace(found, findings=(Problem(ProblemKind.INCOMPLETE_POINTS, "one", red=False),)),
            HOUR,
            {},
        ),
        Case(
            "what is stored is not read in time",
            replace(found, objectives=(Objective("reread", 7_776_000, 7_776_000 - 3600, met=True),)),
            4 * HOUR,
            {"DrkitRereadOverdue": 1},
        ),
        Case(
            "images are missing",
            replace(found, closure=replace(found.closure, missing=3)),
            HOUR,
            {"DrkitImagesMissing": 1},
        ),
    )


def played(case: Case) -> dict[str, object]:
    """A case as a unit test of promtool's: collected and judged each half an hour."""
    at = (NOW - datetime(1970, 1, 1, tzinfo=UTC) + case.after).total_seconds()
    times = int(at / 1800) + 1
    series = []
    for family in text_string_to_metric_families(render(case.status)) if case.status else ():
        for sample in family.samples:
            if math.isfinite(sample.value):
                labels = {**sample.labels, "instance": "h:9100", "job": "n"} | (
                    {"exported_job": sample.labels["job"]} if "job" in sample.labels else {}
                )
                words = ", ".join(f"{name}={json.dumps(value)}" for name, value in labels.items())
                values = f"{sample.value!r}+0x{times}"
                series.append({"series": f"{sample.name}{{{words}}}", "values": values})
    expected = [
        {"labels": f'{{alertname="{name}"}}', "value": count} for name, count in sorted(case.fires.items())
    ]
    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    test = {"expr": firing, "eval_time": f"{at:.0f}s", "exp_samples": expected}
    return {"interval": "30m", "input_series": series, "promql_expr_test": [test]}


def test_the_rules_are_sound() -> None:
    ran = subprocess.run(
        [program("promtool"), "check", "rules", RULES], check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert {rule["labels"]["severity"] for rule in rules} == {"critical", "warning"}
    assert all(rule["annotations"].keys() == {"summary", "description"} for rule in rules)
    fired = {alert for case in cases() for alert in case.fires}
    assert fired == {rule["alert"] for rule in rules}, "each has a case that makes it fire"


@pytest.mark.slow
def test_each_fires_when_it_should_and_no_other(tmp_path: Path) -> None:
    promtool = program("promtool")
    wrong = {}
    files = []
    for number, case in enumerate(cases()):
        file = tmp_path / f"{number}.yml"
        file.write_text(
            yaml.safe_dump(
                {"rule_files": [str(RULES)], "evaluation_interval": "30m", "tests": [played(case)]}
            )
        )
        files.append((case, file))
    for case, file in files:
        ran = subprocess.run([promtool, "test", "rules", file], check=False, capture_output=True, text=True)
        if ran.returncode:
            wrong[case.name] = ran.stdout + ran.stderr
    assert not wrong, "\n".join(f"{name}: {said}" for name, said in wrong.items())
