"""A folder of reports, as an auditor was given it: is each as it was signed, and is one left out?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from drkit.errors import ConfigError, ReportAltered
from drkit.model import Outcome
from drkit.reports import attestation, page
from drkit.reports.attestation import PAYLOAD_TYPE, Attested, Chain
from drkit.reports.jsonable import jsonable
from drkit.tools import dsse

# A report of a database with ten thousand tables has some two megabytes.
_LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True)
class ReportVerified:
    """One report: its file, whether it is as it was signed, and of which drill, where anybody can tell."""

    file: Path
    good: bool
    said: str
    drill: str | None = None
    point: str | None = None
    outcome: Outcome | None = None
    finished_at: datetime | None = None
    started_by: str | None = None
    host: str | None = None


@dataclass(frozen=True)
class FolderVerified:
    """What a folder's reports are worth; `good` if each is as it was signed and none between is missing."""

    directory: Path
    reports: tuple[ReportVerified, ...]
    chains: tuple[Chain, ...]
    keys: tuple[str, ...]
    good: bool


def verify(directory: Path, keys: Sequence[Path]) -> FolderVerified:
    """Verify every report below a folder by these public keys; needs no repository.

    Raises ReportAltered with the result where something is wrong; ConfigError for a folder without reports.
    """
    public = tuple(dict.fromkeys(dsse.read_public(path) for path in keys))
    files = sorted(_files(directory))
    found = [_verified(file, public) for file in files]
    good = [attested for _, attested in found if attested is not None]
    result = FolderVerified(
        directory,
        tuple(sorted((each for each, _ in found), key=_order)),
        attestation.chains({one.sha256: one for one in good}.values()),
        tuple(dsse.key_id(pem) for pem in public),
        good=True,
    )
    faults = tuple(_faults(result))
    if faults:
        raise ReportAltered(
            faults[0] + (f", and {len(faults) - 1} more are wrong" if faults[1:] else ""),
            hint="`drkit drills --period ... --report DIR` writes them again from the repository",
            result=replace(result, good=False),
        )
    return result


def _files(directory: Path) -> Iterator[Path]:
    """The envelopes below a folder, and reports that have none beside them; raises ConfigError."""
    if not directory.is_dir():
        raise ConfigError(f"{directory} is no directory", hint="name the folder that has the reports")
    envelopes = set(directory.rglob("*.dsse.json"))
    alone = {path for path in directory.rglob(page.DATA) if path.with_name(page.ENVELOPE) not in envelopes}
    if not envelopes | alone:
        raise ConfigError(
            f"there is no report of a drill below {directory}",
            hint="`drkit drills ID --report DIR` writes one from the repository",
        )
    yield from envelopes | alone


def _verified(file: Path, keys: Sequence[str]) -> tuple[ReportVerified, Attested | None]:
    """A report, and what it says where it is as it was signed."""
    try:
        if file.name == page.DATA:
            raise ReportAltered("it is not signed", hint="")
        if file.stat().st_size > _LARGEST:
            raise ReportAltered("it is too long to be a report", hint="")
        payload, key = dsse.open_envelope(file.read_bytes(), PAYLOAD_TYPE, keys)
        attested = attestation.parse(payload, dsse.key_id(key))
    except ReportAltered as error:
        return ReportVerified(file, False, error.message), None
    except OSError as error:
        return ReportVerified(file, False, f"it cannot be read: {error.strerror}"), None
    report = attested.report
    said = "; ".join(_beside(file, attested))
    good = ReportVerified(
        file,
        not said,
        said or "as it was signed",
        report.id,
        report.point,
        report.outcome,
        report.finished_at,
        report.started_by,
        report.host,
    )
    return good, attested


def _beside(file: Path, attested: Attested) -> Iterator[str]:
    """What people read, and what programs read, must say the same as what was signed."""
    if file.name != page.ENVELOPE:
        return
    shown, data = file.with_name(page.PAGE), file.with_name(page.DATA)
    if shown.exists() and attestation.digest(shown.read_bytes()) != attested.predicate.page:
        yield f"the page beside it ({page.PAGE}) was altered"
    if data.exists() and _json(data) != json.loads(json.dumps(jsonable(attested.report))):
        yield f"the data beside it ({page.DATA}) was altered"


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None


def _faults(result: FolderVerified) -> Iterator[str]:
    for each in result.reports:
        if not each.good:
            yield f"{each.file}: {each.said}"
    for chain in result.chains:
        for gap in chain.gaps:
            if gap.missing:
                yield f"the report of drill {gap.missing} is left out: that of {gap.after} names it"
            else:
                yield f"the report of drill {gap.after} says that none was before it, and there is one"


def _order(each: ReportVerified) -> tuple[bool, str, str]:
    return each.finished_at is None, str(each.finished_at), str(each.file)
