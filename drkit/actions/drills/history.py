"""Reading the history of drills: a list of all, one report again, the reports of a period."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from drkit import config
from drkit.actions.drills import summary
from drkit.actions.drills.period import Period
from drkit.actions.drills.summary import Held, Known, PeriodReport, Signature
from drkit.actions.drills.trend import Trend, trend
from drkit.actions.status import of_ledger
from drkit.errors import Failure, NoSuchDrill, ReportAltered
from drkit.model import DrillReport, Level, Outcome, utc_now
from drkit.points import drill_reports, seals
from drkit.points.catalog import Catalog, open_catalog
from drkit.points.listing import Listing
from drkit.progress import Listener, Update, silent
from drkit.reports import attestation
from drkit.reports.attestation import PAYLOAD_TYPE, Attested
from drkit.tools import dsse
from drkit.tools.parallel import in_order
from drkit.tools.restic.output import Snapshot

_AT_ONCE = 4


@dataclass(frozen=True)
class DrillLine:
    """A drill in the list; `signed` says whether its report has a signature, which was not verified here."""

    id: str
    repository: str
    point: str
    level: Level
    outcome: Outcome
    finished_at: datetime
    recovery_time_seconds: float | None
    signed: bool
    stages: dict[str, float]


@dataclass(frozen=True)
class DrillList:
    """All drills whose reports are kept, newest first; `warnings` name repositories that were not read."""

    site: str
    drills: tuple[DrillLine, ...]
    trend: Trend | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class DrillAgain:
    """A report from a repository, and what its signature says; `envelope` is how it was signed.

    `attested` is what it says, where that was verified.
    `page` is empty where nobody asked for it, and where it was altered.
    """

    repository: str
    report: DrillReport
    signature: Signature
    page: str
    envelope: bytes | None
    attested: Attested | None = None


@dataclass(frozen=True)
class _Looked:
    catalog: Catalog
    listing: Listing


def drills(settings: config.Config, repository: str | None = None) -> DrillList:
    """The drills of all repositories, or of one; raises the first error where none can be read."""
    looked, warnings = _look(settings, repository)
    lines = [
        DrillLine(
            id=note.id,
            repository=each.catalog.name,
            point=note.point,
            level=note.level,
            outcome=note.outcome,
            finished_at=note.finished_at,
            recovery_time_seconds=note.recovery_time_seconds,
            signed=_is_signed(each.listing.reports.get(note.id)),
            stages={stage.name: stage.seconds for stage in note.stages},
        )
        for each in looked
        for note in each.listing.drills
    ]
    notes = [note for each in looked for note in each.listing.drills]
    return DrillList(
        settings.site.name,
        tuple(sorted(lines, key=lambda line: (line.finished_at, line.id), reverse=True)),
        trend(notes, settings.objectives.rto, utc_now()),
        (*warnings, *(_unread(each, drill) for each in looked for drill in each.listing.unread)),
    )


def again(
    settings: config.Config,
    wanted: str,
    repository: str | None = None,
    keys: Sequence[Path] = (),
    *,
    whole: bool,
) -> DrillAgain:
    """The report of one drill, by its id or an unambiguous prefix of one; raises NoSuchDrill.

    What was signed is verified by one of these public keys, by the key of the configuration, or by one that a
    seal names. `whole` asks for its page as well.
    """
    looked, _ = _look(settings, repository)
    known = [(each, drill) for each in looked for drill in each.listing.reports]
    matches = [(each, drill) for each, drill in known if wanted and drill.startswith(wanted)]
    exact = [found for found in matches if found[1] == wanted] or matches
    if len(exact) != 1:
        newest = max((drill for _, drill in known), default="")
        raise NoSuchDrill(
            f'"{wanted}" could be {len(exact)} drills' if exact else f'there is no drill "{wanted}"',
            hint=f"the newest is {newest}; `drkit drills` lists them" if newest else "run `drkit drill`",
        )
    each, drill = exact[0]
    return _read(each, each.listing.reports[drill], _keys(settings, looked, keys), whole=whole)


def of_period(
    settings: config.Config,
    period: Period,
    repository: str | None = None,
    keys: Sequence[Path] = (),
    listener: Listener = silent,
    *,
    whole: bool,
) -> tuple[PeriodReport, tuple[DrillAgain, ...]]:
    """A period's summary, and the reports that it was made from, oldest first."""
    looked, warnings = _look(settings, repository)
    known_keys = _keys(settings, looked, keys)
    wanted = [one for each in looked for one in _of_period(each, period)]
    reports: list[DrillAgain] = []
    unknown = [*warnings]
    unknown += [
        _unread(each, drill)
        for each in looked
        for drill, snapshot in each.listing.unread.items()
        if snapshot.time in period
    ]
    for number, one in enumerate(
        in_order(wanted, lambda one: _try_to_read(*one, known_keys, whole=whole), _AT_ONCE), 1
    ):
        if isinstance(one, str):
            unknown.append(one)
        else:
            reports.append(one)
        listener(Update("reports", number, len(wanted), "items"))
    unknown += [said for each in looked for said in _left_out(each, reports, known_keys)]
    found = [Held(one.repository, one.report, one.signature) for one in reports]
    known = [
        Known(
            each.catalog.name,
            tuple(p for p in each.listing.points if p.manifest),
            each.listing.drills,
            of_ledger.look(each.catalog, each.listing, settings.objectives.reread)[0],
        )
        for each in looked
    ]
    made = summary.summarize(
        settings.site.name, period, found, known, settings.objectives, utc_now(), unknown
    )
    return made, tuple(reports)


def _of_period(each: _Looked, period: Period) -> Iterator[tuple[_Looked, Snapshot]]:
    """The reports of its drills, the oldest first, each once."""
    reports = each.listing.reports
    for drill in dict.fromkeys(note.id for note in each.listing.drills if note.finished_at in period):
        if drill in reports:
            yield each, reports[drill]


def _try_to_read(
    each: _Looked, snapshot: Snapshot, keys: Mapping[str, str], *, whole: bool
) -> DrillAgain | str:
    """A report, or why there is none: the others are what the auditor wants no less."""
    try:
        return _read(each, snapshot, keys, whole=whole)
    except Failure as error:
        return f"{_unread(each, seals.value(snapshot, seals.DRILL) or '')}: {error.message}"


def _unread(each: _Looked, drill: str) -> str:
    return f"the report of drill {seals.shown(drill)} in {each.catalog.name} cannot be read"


def _left_out(each: _Looked, reports: Iterable[DrillAgain], keys: Mapping[str, str]) -> Iterator[str]:
    """Reports that signed ones name, and that the repository does not have."""
    there = drill_reports.statements(each.listing.snapshots)
    own = [one.attested for one in reports if one.repository == each.catalog.name and one.attested]
    if all(before.sha256 in there for one in own for before in one.predicate.previous):
        return
    # What `expire` takes are the oldest: those that the first one names.
    oldest, snapshot = next(iter(there.items()))
    first = next((one for one in own if one.sha256 == oldest), None)
    if first is None:
        found = _try_to_read(each, snapshot, keys, whole=False)
        first = None if isinstance(found, str) else found.attested
    for gap in attestation.missing(own, there, first or own[0]):
        yield f"the report of drill {gap.missing} is not in {each.catalog.name}: that of {gap.after} names it"


def _look(settings: config.Config, repository: str | None) -> tuple[list[_Looked], tuple[str, ...]]:
    """List the repositories side by side; raises the first error where none can be listed."""
    if repository is not None:
        names = [settings.repository(repository).name]
    else:
        names = [each.name for each in settings.repositories]
    found = tuple(in_order(names, lambda name: _look_at(settings, name, alone=len(names) == 1), _AT_ONCE))
    errors = [each for each in found if isinstance(each, Failure)]
    looked = [each for each in found if isinstance(each, _Looked)]
    if not looked:
        raise errors[0]
    return looked, tuple(
        f"the drills in {name} are not listed: {error.message}"
        for name, error in zip(names, found, strict=True)
        if isinstance(error, Failure)
    )


def _look_at(settings: config.Config, name: str, *, alone: bool) -> _Looked | Failure:
    try:
        catalog = open_catalog(settings, name)
        catalog = catalog if alone else catalog.impatient()
        return _Looked(catalog, catalog.look())
    except Failure as error:
        return error


def _is_signed(snapshot: Snapshot | None) -> bool:
    return snapshot is not None and bool(seals.value(snapshot, seals.STATEMENT))


def _keys(settings: config.Config, looked: Iterable[_Looked], given: Iterable[Path]) -> dict[str, str]:
    """The public keys that reports may be signed with, and whose word that is.

    A seal's is that of whoever can write to the repository: it shows an accident, and no forger.
    """
    named = (p.manifest.signing_key for each in looked for p in each.listing.points if p.manifest)
    known = (dsse.parse_public(pem.encode()) for pem in dict.fromkeys(named) if pem)
    found = {pem: "by a key that the repository itself names" for pem in known if pem}
    if settings.drill.signing_key:
        found[dsse.read_public(settings.drill.signing_key)] = "by the key of the configuration"
    return found | {dsse.read_public(path): f"by the key in {path}" for path in given}


def _read(each: _Looked, snapshot: Snapshot, keys: Mapping[str, str], *, whole: bool) -> DrillAgain:
    """A report, and whether it is as it was signed; raises what keeps it from being read at all."""
    catalog = each.catalog
    envelope = catalog.envelope(snapshot)
    page = catalog.drill_page(snapshot) if whole else ""
    if envelope is None:
        signature = Signature(None, "not signed")
        return DrillAgain(catalog.name, catalog.drill_report(snapshot), signature, page, None)
    try:
        payload, key = dsse.open_envelope(envelope, PAYLOAD_TYPE, tuple(keys))
        attested = attestation.parse(payload, dsse.key_id(key))
        _refuse_another(attested, seals.value(snapshot, seals.DRILL), catalog.site)
    except ReportAltered as error:
        signature = Signature(False, error.message)
        if _is_foreign(envelope, keys):
            signature = Signature(None, error.message, dsse.payload(envelope)[1])
        return DrillAgain(catalog.name, catalog.drill_report(snapshot), signature, page, envelope)
    # What is shown is what was signed, not the copy beside it.
    signature = Signature(True, f"verified {keys[key]}", attested.key)
    if whole and attestation.digest(page.encode()) != attested.predicate.page:
        signature, page = Signature(False, "its page in the repository was altered", attested.key), ""
    return DrillAgain(catalog.name, attested.report, signature, page, envelope, attested)


def _refuse_another(found: Attested, drill: str | None, site: str) -> None:
    """Raise ReportAltered for the report of another drill, or of another site that has the same key."""
    if found.report.id != drill:
        raise ReportAltered(f"it is that of {found.report.id}, and stands in the place of {drill}")
    if found.report.site != site:
        raise ReportAltered(f"it is that of the site {found.report.site}, and stands among those of {site}")


def _is_foreign(envelope: bytes, keys: Mapping[str, str]) -> bool:
    """Whether a key signed it that is not at hand: that can be an earlier key, and nobody can verify it."""
    with contextlib.suppress(ReportAltered):
        return not dsse.is_signed_by(envelope, tuple(keys))
    return False
