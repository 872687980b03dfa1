"""Reading the history of drills: a list of all, one report again, the reports of a period."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from drkit import config
from drkit.actions.drills import summary
from drkit.actions.drills.period import Period
from drkit.actions.drills.summary import Held, Known, PeriodReport, Signature
from drkit.actions.drills.trend import Trend, trend
from drkit.errors import Failure, NoSuchDrill, ReportAltered
from drkit.model import DrillReport, Level, Outcome, utc_now
from drkit.points import seals
from drkit.points.catalog import Catalog, open_catalog
from drkit.points.listing import Listing
from drkit.progress import Listener, Update, silent
from drkit.reports import attestation
from drkit.reports.attestation import PAYLOAD_TYPE
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

    `page` is empty where nobody asked for it.
    """

    repository: str
    report: DrillReport
    signature: Signature
    page: str
    envelope: bytes | None


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
        warnings,
    )


def again(settings: config.Config, wanted: str, repository: str | None = None, *, whole: bool) -> DrillAgain:
    """The report of one drill, by its id or an unambiguous prefix of one; raises NoSuchDrill.

    What was signed is verified by the key of the configuration, or by one that a seal names. `whole` asks for
    its page as well.
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
    return _read(each, each.listing.reports[drill], _keys(settings, looked), whole=whole)


def of_period(
    settings: config.Config,
    period: Period,
    repository: str | None = None,
    listener: Listener = silent,
    *,
    whole: bool,
) -> tuple[PeriodReport, tuple[DrillAgain, ...]]:
    """A period's summary, and the reports that it was made from, oldest first."""
    looked, warnings = _look(settings, repository)
    keys = _keys(settings, looked)
    wanted = [
        (each, snapshot)
        for each in looked
        for note in each.listing.drills
        if note.finished_at in period and (snapshot := each.listing.reports.get(note.id))
    ]
    reports: list[DrillAgain] = []
    for one in in_order(wanted, lambda one: _read(*one, keys, whole=whole), _AT_ONCE):
        reports.append(one)
        listener(Update("reports", len(reports), len(wanted), "items"))
    found = [Held(one.repository, one.report, one.signature) for one in reports]
    known = [
        Known(each.catalog.name, tuple(p for p in each.listing.points if p.manifest), each.listing.drills)
        for each in looked
    ]
    made = summary.summarize(
        settings.site.name, period, found, known, settings.objectives, utc_now(), warnings
    )
    return made, tuple(reports)


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


def _keys(settings: config.Config, looked: Iterable[_Looked]) -> dict[str, str]:
    """The public keys that reports may be signed with, and whose word that is.

    A seal's is that of whoever can write to the repository: it shows an accident, and no forger.
    """
    named = (p.manifest.signing_key for each in looked for p in each.listing.points if p.manifest)
    found = {pem: "by a key that the repository itself names" for pem in named if pem}
    if settings.drill.signing_key:
        found[dsse.read_public(settings.drill.signing_key)] = "by the key of the configuration"
    return found


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
        if (drill := seals.value(snapshot, seals.DRILL)) != attested.report.id:
            raise ReportAltered(f"it is that of {attested.report.id}, and stands in the place of {drill}")
    except ReportAltered as error:
        signature = Signature(False, error.message)
        return DrillAgain(catalog.name, catalog.drill_report(snapshot), signature, page, envelope)
    # What is shown is what was signed, not the copy beside it.
    signature = Signature(True, f"verified {keys[key]}", attested.key)
    return DrillAgain(catalog.name, attested.report, signature, page, envelope)
