"""Writing reports into a folder that somebody takes away, and verifying such a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from drkit import config
from drkit.actions.drills import history, verify
from drkit.actions.drills.history import DrillAgain
from drkit.actions.drills.period import Period
from drkit.actions.drills.summary import PeriodReport, Signature
from drkit.actions.drills.verify import FolderVerified
from drkit.errors import ConfigError, NotGreen, ReportAltered
from drkit.model import DrillReport
from drkit.progress import Listener, silent
from drkit.reports import junit, page, period_page
from drkit.reports.jsonable import jsonable


@dataclass(frozen=True)
class DrillShown:
    """A report again, what its signature says, and where it was written."""

    repository: str
    report: DrillReport
    signature: Signature
    written: tuple[Path, ...] = ()


def again(
    settings: config.Config,
    wanted: str,
    repository: str | None,
    report: Path | None,
    junit_file: Path | None,
    keys: Sequence[Path] = (),
) -> DrillShown:
    """The report of a drill, written where it is asked for.

    Raises NoSuchDrill, ConfigError, and ReportAltered with the report where it is not as it was signed.
    """
    found = history.again(settings, wanted, repository, keys, whole=report is not None)
    written: tuple[Path, ...] = ()
    if report is not None:
        page.write(found.report, report, found.page, found.envelope)
        written = (report / (page.PAGE if found.page else page.DATA),)
    if junit_file is not None:
        junit.write(found.report, junit_file)
        written = (*written, junit_file)
    shown = DrillShown(found.repository, found.report, found.signature, written)
    if found.signature.verified is False:
        raise ReportAltered(
            f"the report of drill {found.report.id} is not as it was signed: {found.signature.said}",
            hint="see who can write to the repository; `drkit drill` makes a new one",
            result=shown,
        )
    return shown


def of_period(
    settings: config.Config,
    period: Period,
    repository: str | None,
    directory: Path | None,
    keys: Sequence[Path] = (),
    listener: Listener = silent,
) -> PeriodReport:
    """A period's summary; into a directory go its page, its data and all of its reports.

    Raises, with the summary, ReportAltered where a report is not as it was signed, NotGreen where the period
    is not good for another reason.
    """
    found, reports = history.of_period(
        settings, period, repository, keys, listener, whole=directory is not None
    )
    if directory is not None:
        found = replace(found, report=str(directory / period_page.PAGE))
        _write(found, reports, directory)
    said = found.verdict.removesuffix(".")
    altered = [drill.id for drill in found.drills if drill.signature.verified is False]
    if altered:
        raise ReportAltered(
            said, hint=f"`drkit drills {altered[0]}` says what is wrong with it", result=found
        )
    if not found.good:
        raise NotGreen(said, hint="docs/drills.md says when a period is good", result=found)
    return found


def verified(settings: config.Config | None, directory: Path, keys: Sequence[Path]) -> FolderVerified:
    """Verify a folder by these keys, or by the configuration's; raises ConfigError where there is none."""
    if settings is not None:
        if settings.drill.signing_key is None:
            raise ConfigError(
                "there is no key to verify reports with",
                hint="give the public key with --key FILE, or set signing_key in [drill]",
            )
        keys = (settings.drill.signing_key,)
    return verify.verify(directory, keys)


def _write(found: PeriodReport, reports: Sequence[DrillAgain], directory: Path) -> None:
    for one in reports:
        page.write(one.report, directory / one.report.id, one.page, one.envelope)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / period_page.DATA).write_text(json.dumps(jsonable(found), indent=1), encoding="utf-8")
        (directory / period_page.PAGE).write_text(period_page.render(jsonable(found)), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write to {directory}: {error.strerror}", hint="see --report") from None
