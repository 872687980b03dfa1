"""A folder of reports, as an auditor was given it: is each as it was signed, and is one left out?"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from drkit.errors import ConfigError, ReportAltered
from drkit.model import Outcome
from drkit.reports import attestation, page, period_page
from drkit.reports.attestation import PAYLOAD_TYPE, Attested, Chain
from drkit.reports.jsonable import jsonable
from drkit.tools import dsse

# A report of a database with ten thousand tables has some two megabytes.
_LARGEST = 64 * 1024 * 1024
_SUMMARIES = (period_page.PAGE, period_page.DATA)


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
    """What a folder's reports are worth; `good` if each is as it was signed and none between is missing.

    `unsigned` are summaries, which nobody signs.
    """

    directory: Path
    reports: tuple[ReportVerified, ...]
    chains: tuple[Chain, ...]
    keys: tuple[str, ...]
    good: bool
    unsigned: tuple[Path, ...] = ()


def verify(directory: Path, keys: Sequence[Path]) -> FolderVerified:
    """Verify every report below a folder by these public keys; needs no repository.

    Raises ReportAltered with the result where something is wrong; ConfigError for a folder without reports.
    """
    public = tuple(dict.fromkeys(dsse.read_public(path) for path in keys))
    found = [_verified(file, public) for file in _files(directory)]
    good = [attested for _, attested in found if attested is not None]
    result = FolderVerified(
        directory,
        tuple(sorted((each for each, _ in found), key=_order)),
        attestation.chains({one.sha256: one for one in good}.values()),
        tuple(dsse.key_id(pem) for pem in public),
        good=True,
        unsigned=tuple(p for name in _SUMMARIES if os.path.lexists(p := directory / name)),
    )
    faults = tuple(_faults(result))
    if faults:
        raise ReportAltered(
            faults[0] + (f", and {len(faults) - 1} more are wrong" if faults[1:] else ""),
            hint="`drkit drills --period ... --report DIR` writes them again from the repository",
            result=replace(result, good=False),
        )
    return result


def _files(directory: Path) -> Iterator[ReportVerified | Path]:
    """The envelopes below a folder, pages and data that have none beside them, and what cannot be looked at.

    Raises ConfigError.
    """
    if not directory.is_dir():
        raise ConfigError(f"{directory} is no directory", hint="name the folder that has the reports")
    found: list[ReportVerified | Path] = []
    closed: list[OSError] = []
    for place, folders, names in os.walk(directory, onerror=closed.append):
        envelopes = [name for name in names if name.endswith(".dsse.json")]
        alone = [] if page.ENVELOPE in names else [name for name in (page.DATA, page.PAGE) if name in names]
        # One of both says what there is to say.
        found += [Path(place, name) for name in (*envelopes, *alone[:1])]
        links = (Path(place, name) for name in folders if Path(place, name).is_symlink())
        found += [ReportVerified(link, False, "it is a link, which was not followed") for link in links]
    found += [
        ReportVerified(Path(error.filename), False, f"it cannot be read: {error.strerror}")
        for error in closed
    ]
    if not found:
        raise ConfigError(
            f"there is no report of a drill below {directory}",
            hint="`drkit drills ID --report DIR` writes one from the repository",
        )
    yield from found


def _verified(file: ReportVerified | Path, keys: Sequence[str]) -> tuple[ReportVerified, Attested | None]:
    """A report, and what it says where it is as it was signed."""
    if isinstance(file, ReportVerified):
        return file, None
    try:
        if file.name in (page.DATA, page.PAGE):
            raise ReportAltered("it is not signed", hint="")
        payload, key = dsse.open_envelope(_bytes(file), PAYLOAD_TYPE, keys)
        attested = attestation.parse(payload, dsse.key_id(key))
    except ReportAltered as error:
        return ReportVerified(file, False, error.message), None
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


def _bytes(file: Path) -> bytes:
    """What is in a file; raises ReportAltered for what is none, or longer than any report.

    Somebody else has made the folder: nothing in it may keep us waiting, or take all of the memory.
    """
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY), "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise ReportAltered("it is no file", hint="")
            data = opened.read(_LARGEST + 1)
    except OSError as error:
        raise ReportAltered(f"it cannot be read: {error.strerror}", hint="") from None
    if len(data) > _LARGEST:
        raise ReportAltered("it is too long to be a report", hint="")
    return data


def _beside(file: Path, attested: Attested) -> Iterator[str]:
    """What people read, and what programs read, must say the same as what was signed."""
    if file.name != page.ENVELOPE:
        return
    shown, data = file.with_name(page.PAGE), file.with_name(page.DATA)
    for path, what, same in (
        (shown, "page", lambda found: attestation.digest(found) == attested.predicate.page),
        (data, "data", lambda found: _json(found) == json.loads(json.dumps(jsonable(attested.report)))),
    ):
        if not os.path.lexists(path):
            continue
        try:
            if not same(_bytes(path)):
                yield f"the {what} beside it ({path.name}) was altered"
        except ReportAltered as error:
            yield f"the {what} beside it ({path.name}): {error.message}"


def _json(data: bytes) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
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
