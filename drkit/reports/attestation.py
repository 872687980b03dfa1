"""A drill's report as an in-toto statement, and whether a set of them is whole; pure.

The subject of a statement is the recovery point's seal: restic names a snapshot by the SHA-256 of its file
in the repository, so that the file itself, `snapshots/ID`, is what cosign is shown. Each statement names, by
their hashes, those in the same repository that none had named yet: one, or two after two drills at once. That
makes their order, whatever clocks said.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from drkit.errors import ReportAltered
from drkit.model import DrillReport
from drkit.reports.jsonable import jsonable
from drkit.tools import foreign

# The type of an envelope's payload, and the statement's own, by the specifications of in-toto.
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "drkit://drill-report/v1"


@dataclass(frozen=True)
class Previous:
    """A signed report before this one: the drill's id, and the SHA-256 of its statement in hex."""

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
    previous: tuple[Previous, ...] = ()


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
    """A report in its envelope, the hash of its statement in hex, and those of the ones that it names."""

    envelope: bytes
    sha256: str
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gap:
    """A report that another one names, and that is not there; `after` is the one that names it."""

    missing: str
    after: str


@dataclass(frozen=True)
class Chain:
    """The signed reports of one site in one repository, each after those that it names.

    `begins_after` is the drill before the first of them, where there was one; `gaps` are reports that are
    missing in between.
    """

    site: str
    repository: str
    drills: tuple[str, ...]
    begins_after: str | None
    gaps: tuple[Gap, ...]


_STATEMENT = foreign.validator(TypeAdapter(Predicate))


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
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError) as error:
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


def missing(reports: Sequence[Attested], there: Collection[str], first: Attested) -> Iterator[Gap]:
    """What these reports name that is not `there`, by hashes; what the first one names was before all."""
    known = {each.sha256 for each in first.predicate.previous}
    for one in reports:
        for each in one.predicate.previous:
            if each.sha256 not in there and each.sha256 not in known:
                known.add(each.sha256)
                yield Gap(each.drill, one.report.id)


def _chain(site: str, repository: str, group: Sequence[Attested]) -> Chain:
    there = {one.sha256: one for one in sorted(group, key=_when)}
    ordered = _in_order(there)
    first = _first(ordered, there.keys())
    gaps = (*missing(ordered, there, first), *_second_beginnings(ordered, first))
    begins = next((each.drill for each in first.predicate.previous if each.sha256 not in there), None)
    return Chain(site, repository, tuple(one.report.id for one in ordered), begins, gaps)


def _in_order(there: Mapping[str, Attested]) -> list[Attested]:
    """Each after those that it names, else by time."""
    found: dict[str, Attested] = {}
    for start in there:
        waiting = [start]
        while waiting:
            name = waiting[-1]
            earlier = [p.sha256 for p in there[name].predicate.previous if p.sha256 in there]
            if open_ := [each for each in earlier if each not in found]:
                waiting += open_
            else:
                found[waiting.pop()] = there[name]
    return list(found.values())


def _first(ordered: Sequence[Attested], there: Set[str]) -> Attested:
    """Where they begin: with the one that names none, else with the oldest that names what is not there."""
    beginnings = [one for one in ordered if not one.predicate.previous]
    if len(beginnings) == 1:
        return beginnings[0]
    roots = [one for one in ordered if not there & {each.sha256 for each in one.predicate.previous}]
    return min(beginnings or roots, key=_when)


def _second_beginnings(ordered: Sequence[Attested], first: Attested) -> Iterator[Gap]:
    """What says that nothing was before it, of a host that had signed one already.

    Hosts that may not write to the repository do not know of one another's.
    """
    hosts = {first.report.host}
    for one in ordered:
        if one is not first and not one.predicate.previous and one.report.host in hosts:
            yield Gap("", one.report.id)
        hosts.add(one.report.host)


def _when(one: Attested) -> tuple[datetime, str]:
    return one.report.finished_at, one.report.id
