"""A drill's report as JUnit's XML, which CI servers show: a test a check, and one a planted fault; pure.

What had nothing to look at is `skipped`, JUnit's word for what is no pass.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from drkit.errors import ConfigError
from drkit.model import CheckResult, ControlResult, DrillReport, Outcome

# What XML 1.0 cannot hold in any form.
_ALLOWED_CONTROL = "\t\n"


def render(report: DrillReport) -> str:
    """The report as XML, with its declaration."""
    cases = [*map(_check, report.checks), *map(_control, report.controls)]
    if report.upgrade is not None:
        found = [*map(_check, report.upgrade.checks), *map(_control, report.upgrade.controls)]
        for case in found:
            case.set("classname", f"drkit.upgrade.{_plain(report.upgrade.tag)}")
        cases += found
    suite = ElementTree.Element(
        "testsuite",
        name=f"drkit drill of {_plain(report.site)}",
        timestamp=report.started_at.isoformat(),
        hostname=_plain(report.host),
        time=f"{(report.finished_at - report.started_at).total_seconds():.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(report):
        ElementTree.SubElement(properties, "property", name=name, value=_plain(value))
    suite.extend(cases)
    suite.append(_drill(report))
    counts = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
    for name, tag in counts.items():
        suite.set(name, str(sum(1 for _ in suite.iter(tag))))
    ElementTree.indent(suite)
    text = ElementTree.tostring(suite, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def begin(path: Path) -> None:
    """Empty the file, so that an earlier drill's is not taken for that of one that is killed.

    Raises ConfigError.
    """
    try:
        path.write_text("", encoding="utf-8")
    except OSError as error:
        raise _refused(path, error) from None


def write(report: DrillReport, path: Path) -> None:
    """Write a report to a file; raises ConfigError."""
    try:
        path.write_text(render(report), encoding="utf-8")
    except OSError as error:
        raise _refused(path, error) from None


def _refused(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot write {path}: {error.strerror}", hint="see --junit")


def _properties(report: DrillReport) -> list[tuple[str, str]]:
    found = [("drill", report.id), ("point", report.point), ("level", report.level)]
    if report.recovery_time_seconds is not None:
        found.append(("recovery_time_seconds", f"{report.recovery_time_seconds:.3f}"))
    return [*found, ("recovery_point_age_seconds", f"{report.recovery_point_age_seconds:.3f}")]


def _check(check: CheckResult) -> ElementTree.Element:
    case = _case("check", check.name, check.seconds)
    match check.outcome:
        case Outcome.FAILED:
            ElementTree.SubElement(case, "failure", message=_plain(check.detail))
        case Outcome.ERROR:
            ElementTree.SubElement(case, "error", message=_plain(check.detail))
        case Outcome.NOT_PROVABLE:
            ElementTree.SubElement(case, "skipped", message=_plain(check.detail))
        case Outcome.PASSED:
            ElementTree.SubElement(case, "system-out").text = _plain(check.detail)
    return case


def _control(control: ControlResult) -> ElementTree.Element:
    case = _case("control", control.name, control.seconds)
    if not control.caught:
        ElementTree.SubElement(case, "error", message=f"not caught: {_plain(control.detail)}")
    return case


def _drill(report: DrillReport) -> ElementTree.Element:
    """The drill itself: objectives and what went wrong beside the checks."""
    case = _case("drill", "objectives and surroundings", 0.0)
    missed = [f"{goal.name} is missed" for goal in report.objectives if not goal.met]
    if missed:
        ElementTree.SubElement(case, "failure", message=", ".join(missed))
    if report.problems:
        ElementTree.SubElement(case, "error", message=_plain("; ".join(report.problems)))
    return case


def _case(kind: str, name: str, seconds: float) -> ElementTree.Element:
    facts = {"classname": f"drkit.{kind}", "name": _plain(name), "time": f"{seconds:.3f}"}
    return ElementTree.Element("testcase", facts)


def _plain(text: str) -> str:
    """What XML can hold of a text."""
    return "".join(c if c.isprintable() or c in _ALLOWED_CONTROL else "?" for c in text)
