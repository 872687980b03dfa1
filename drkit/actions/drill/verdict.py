"""The outcome of a drill, and the error that it ends in; pure."""

from __future__ import annotations

from collections.abc import Sequence

from drkit.errors import DrillError, DrillFailed
from drkit.model import CheckResult, Collapse, ControlResult, DrillReport, Outcome, Reason
from drkit.reports.units import duration


def decide(
    checks: Sequence[CheckResult], controls: Sequence[ControlResult], problems: Sequence[str]
) -> Outcome:
    """Passed only if checks ran, all of them came to a verdict, none failed, and each fault was caught."""
    if problems or not checks:
        return Outcome.ERROR
    if any(not control.caught for control in controls):
        return Outcome.ERROR
    if any(check.outcome is Outcome.FAILED for check in checks):
        return Outcome.FAILED
    # Without a control a green means nothing; that a check turned red, as above, means what it says.
    if not controls or any(check.outcome is Outcome.ERROR for check in checks):
        return Outcome.ERROR
    return Outcome.PASSED


def sentence(report: DrillReport) -> str:
    """What came of a drill, in a sentence."""
    missed = [objective.name for objective in report.objectives if not objective.met]
    match report.outcome:
        case Outcome.PASSED:
            what = "the sample" if report.level == "quick" else "everything in this recovery point"
            time = f" in {duration(report.recovery_time_seconds)}" if report.recovery_time_seconds else ""
            but = f", but an objective is missed ({', '.join(missed)})" if missed else ""
            where = "the vault" if report.vault else "the repository"
            how = f", its images read from {where} and not restored to a disk" if report.streamed else ""
            return f"{what} came back{time}{how}, and every planted fault was caught{but}{_upgraded(report)}"
        case Outcome.FAILED:
            return _why_failed(report)[0]
        case _:
            return _why_error(report)


def judge(report: DrillReport) -> None:
    """Raise DrillFailed or DrillError by the outcome; a missed objective is not green either."""
    missed = [objective.name for objective in report.objectives if not objective.met]
    match report.outcome:
        case Outcome.PASSED if missed:
            raise DrillFailed(
                f"the drill passed, but missed: {', '.join(missed)}",
                hint="see the stages in the report",
                result=report,
            )
        case Outcome.PASSED:
            _judge_upgrade(report)
        case Outcome.FAILED:
            message, hint = _why_failed(report)
            raise DrillFailed(message, hint=hint, result=report)
        case _:
            raise DrillError(_why_error(report), hint=_see(report), result=report)


def _judge_upgrade(report: DrillReport) -> None:
    """Raise where a newer Harbor was tried and is not good: nothing is wrong with the point."""
    found = report.upgrade
    if found is None or found.outcome is Outcome.PASSED:
        return
    if found.outcome is Outcome.FAILED:
        raise DrillFailed(
            f"point {report.point} restores whole, but Harbor {found.tag} does not run on it: {found.said}",
            hint=f"do not upgrade production to it before that is understood; {_see(report)}",
            result=report,
        )
    why = found.said or "nothing was checked"
    said = f"point {report.point} restores whole, but Harbor {found.tag} came to no verdict: {why}"
    raise DrillError(said, hint=_see(report), result=report)


def _see(report: DrillReport) -> str:
    return f"see {report.report}" if report.report else "see what is printed here: no page of it was kept"


def _upgraded(report: DrillReport) -> str:
    found = report.upgrade
    if found is None:
        return ""
    if found.outcome is Outcome.PASSED:
        return f"; Harbor {found.tag} runs on it"
    ended = "does not run on it" if found.outcome is Outcome.FAILED else "came to no verdict"
    return f"; but Harbor {found.tag} {ended}: {found.said}"


def _why_failed(report: DrillReport) -> tuple[str, str]:
    """What a failed drill says, and what is to be done."""
    said, hint = _why_broken(report)
    stuck = ", ".join(check.name for check in report.checks if check.outcome is Outcome.ERROR)
    return f"{said}; no verdict on: {stuck}" if stuck else said, hint


def _why_broken(report: DrillReport) -> tuple[str, str]:
    """The same of what failed alone: another backup changes nothing in production."""
    broken = [check for check in report.checks if check.outcome is Outcome.FAILED]
    names = ", ".join(check.name for check in broken)
    if all(check.reason is Reason.COLLAPSED for check in broken):
        said = f"nothing about images is proven: {'; '.join(check.detail for check in broken)}"
        return said, f"{Collapse(report.point, ()).hint}, and drill it again"
    if all(check.reason in (Reason.AS_IN_PRODUCTION, Reason.COLLAPSED) for check in broken):
        said = f"point {report.point} restores as it was taken, but production was not whole then: {names}"
        return said, f"repair production, then take a new backup and drill it; {_see(report)}"
    if all(check.reason is Reason.NOT_BACKED_UP for check in broken):
        said = f"point {report.point} restores as it was taken, but it lacks what harbor.yml names"
        hint = "`drkit doctor` says how to correct the configuration; then take a new backup and drill it"
        return said, f"{hint}; {_see(report)}"
    said = f"point {report.point} does not restore whole: {names}"
    return said, f"{_see(report)}; take a new backup and drill it"


def _why_error(report: DrillReport) -> str:
    missed = ", ".join(control.name for control in report.controls if not control.caught)
    uncaught = [f"faults planted on purpose were not caught: {missed}"] if missed else []
    stuck = [f"{check.name}: {check.detail}" for check in report.checks if check.outcome is Outcome.ERROR]
    broken = ", ".join(check.name for check in report.checks if check.outcome is Outcome.FAILED)
    failed = [f"failed: {broken}"] if broken else []
    if missed and not (report.problems or stuck or failed):
        return f"faults planted on purpose were not caught, so a green would mean nothing: {missed}"
    why = "; ".join([*report.problems, *stuck, *uncaught, *failed])
    return f"the drill came to no verdict: {why or 'nothing was checked'}"
