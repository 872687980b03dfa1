"""A drill's report as an in-toto statement, and whether a set of them is whole; pure.

The subject of a statement is the recovery point's seal: restic names a snapshot by the SHA-256 of its file
in the repository, so that the file itself, `snapshots/ID`, is what cosign is shown. Each statement names the
one before it in the same repository by its hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from drkit.errors import ReportAltered
from drkit.model import DrillReport
from drkit.reports.jsonable import jsonable

# The type of an envelope's payload, and the statement's own, by the specifications of in-toto.
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "drkit://drill-report/v1"


@dataclass(frozen=True)
class Previous:
    """The signed report before this one: the drill's id, and the SHA-256 of its statement in hex."""

    drill: str
    sha256: str


@dataclass(frozen=True)
class Predicate:
    """What is said of a recovery point; `repository` is restic's own id of its repository.

    `page` is the SHA-256 of the report's page in hex.
    """

    report: DrillReport
    repository: str
    page: str
    previous: Previous | None


@dataclass(frozen=True)
class Attested:
    """A signed report that was opened: what it says, the seal that it is about, and who vouches for it.

    `sha256` is that of the statement, `key` the id of the key that signed it.
    """

    predicate: Predicate
    seal: str
    sha256: str
    key: str

    @property
    def report(self) -> DrillReport:
        """The drill's report."""
        return self.predicate.report


@dataclass(frozen=True)
class Signed:
    """A report in its envelope, and the hash of its statement in hex."""

    envelope: bytes
    sha256: str


@dataclass(frozen=True)
class Gap:
    """A report that another one names, and that is not there; `after` is the one that names it."""

    missing: str
    after: str


@dataclass(frozen=True)
class Chain:
    """The signed reports of one site in one repository, oldest first.

    `begins_after` is the drill before the first of them, where there was one; `gaps` are reports that are
    missing in between.
    """

    site: str
    repository: str
    drills: tuple[str, ...]
    begins_after: str | None
    gaps: tuple[Gap, ...]


_STATEMENT = TypeAdapter(Predicate)


def digest(payload: bytes) -> str:
    """The hash by which the next report names a statement."""
    return hashlib.sha256(payload).hexdigest()


def statement(predicate: Predicate, seal: str) -> bytes:
    """The statement as JSON, to be signed."""
    report = predicate.report
    made = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": f"{report.site}/{report.point}", "digest": {"sha256": seal}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": jsonable(predicate),
    }
    return json.dumps(made, sort_keys=True).encode()


def parse(payload: bytes, key: str) -> Attested:
    """What a statement says that this key has signed; raises ReportAltered for anything else.

    Whoever has the key may sign something else with it, so that is no bug of anybody's.
    """
    try:
        made = json.loads(payload)
        if (made["_type"], made["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
            raise ValueError("another statement")
        (subject,) = made["subject"]
        predicate = _STATEMENT.validate_python(made["predicate"], strict=False)
        report = predicate.report
        if subject["name"] != f"{report.site}/{report.point}":
            raise ValueError("another subject")
        return Attested(predicate, subject["digest"]["sha256"], digest(payload), key)
    except (ValidationError, ValueError, KeyError, TypeError) as error:
        raise ReportAltered(
            "it is signed, and is no report of a drill that this drkit understands",
            hint="a newer drkit may have made it",
        ) from error


def chains(every: Iterable[Attested]) -> tuple[Chain, ...]:
    """The reports by site and repository, and which are missing between them.

    Whether something was left out before the first or after the last, the reports themselves cannot tell.
    """
    groups: dict[tuple[str, str], list[Attested]] = {}
    for one in every:
        groups.setdefault((one.report.site, one.predicate.repository), []).append(one)
    return tuple(_chain(site, repository, group) for (site, repository), group in sorted(groups.items()))


def _chain(site: str, repository: str, group: Sequence[Attested]) -> Chain:
    ordered = sorted(group, key=_when)
    there = {one.sha256 for one in ordered}
    first, *rest = ordered
    gaps = tuple(
        Gap(one.predicate.previous.drill, one.report.id)
        for one in rest
        if one.predicate.previous is not None and one.predicate.previous.sha256 not in there
    )
    # A second beginning is a gap as well: what says that nothing was before it was signed after the first.
    gaps += tuple(Gap("", one.report.id) for one in rest if one.predicate.previous is None)
    before = first.predicate.previous
    begins = before.drill if before and before.sha256 not in there else None
    return Chain(site, repository, tuple(one.report.id for one in ordered), begins, gaps)


def _when(one: Attested) -> tuple[datetime, str]:
    return one.report.finished_at, one.report.id
