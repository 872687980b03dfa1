"""Which controls in an auditor's catalogue a drill is evidence for, and what it does not show; pure.

The texts of the standards are their publishers': here are their numbers, and what each asks for in few words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from drkit.model import CheckKind, DrillReport, Outcome


@dataclass(frozen=True)
class Control:
    """A control: the catalogue, its number there, and what it asks for."""

    catalogue: str
    number: str
    asks: str

    @property
    def name(self) -> str:
        """`ISO/IEC 27001 A.8.13`."""
        return f"{self.catalogue} {self.number}"


@dataclass(frozen=True)
class EvidenceLine:
    """What drills are evidence for: how often it was tried, and how often it held."""

    subject: str
    controls: tuple[str, ...]
    tried: int
    held: int
    shows: str
    not_shown: str


@dataclass(frozen=True)
class Evidence:
    """What a kind of evidence shows, for which controls, and what it leaves open."""

    subject: str
    kinds: tuple[CheckKind, ...]
    controls: tuple[Control, ...]
    shows: str
    not_shown: str


A813 = Control("ISO/IEC 27001:2022", "A.8.13", "backups are kept and tested regularly")
A530 = Control("ISO/IEC 27001:2022", "A.5.30", "readiness of ICT for business continuity is tested")
A12 = Control("SOC 2 (TSC 2017)", "A1.2", "backups and recovery infrastructure are in operation")
A13 = Control("SOC 2 (TSC 2017)", "A1.3", "recovery procedures are tested")
CP4 = Control("NIST SP 800-53 Rev. 5", "CP-4", "the contingency plan is tested")
CP9 = Control("NIST SP 800-53 Rev. 5", "CP-9", "backups are taken, protected and tested")
DORA11 = Control("DORA (EU) 2022/2554", "Art. 11", "response and recovery plans are tested")
DORA12 = Control("DORA (EU) 2022/2554", "Art. 12", "restoration from backups is tested, and data is whole")

_BACKUP = (A813, A12, CP9, DORA12)
_RECOVERY = (A530, A13, CP4, DORA11)

RECOVERY = Evidence(
    "the recovery, with its time",
    (),
    _RECOVERY,
    "a recovery into an empty environment ran to its end, and how long it took against the objective",
    "people, network and DNS of a real recovery; the speed of other hardware",
)
PLANTED = Evidence(
    "planted faults",
    (),
    (A13, CP4),
    "the checks find damage: faults that were planted in copies were caught",
    "faults of kinds that nobody planted",
)
TABLE: tuple[Evidence, ...] = (
    Evidence(
        "the database",
        (
            CheckKind.DATABASE_RESTORE,
            CheckKind.TABLES,
            CheckKind.RELATION,
            CheckKind.INVENTORY,
            CheckKind.SCHEMA,
            CheckKind.NAMES,
            CheckKind.TAG_LIST,
        ),
        _BACKUP,
        "every table came back with the rows of the backup, row for row, and what they refer to is there",
        "that the application itself starts on it, unless a check says so",
    ),
    Evidence(
        "the images",
        (
            CheckKind.IMAGES_RESTORE,
            CheckKind.BLOBS,
            CheckKind.CLOSURE,
            CheckKind.DIGESTS,
            CheckKind.MANIFESTS,
            CheckKind.TAGS,
            CheckKind.LINKS,
            CheckKind.TREE,
            CheckKind.VAULT,
            CheckKind.PRODUCTION,
        ),
        _BACKUP,
        "each byte that was restored hashes to its name, and every tag was pulled from a registry",
        "images that a quick drill did not restore; that an image runs",
    ),
    Evidence(
        "keys and certificates",
        (
            CheckKind.SECRETS_RESTORE,
            CheckKind.BUNDLE,
            CheckKind.PAIRS,
            CheckKind.SECRET_KEY,
            CheckKind.NAMED_FILES,
            CheckKind.EXPIRY,
            CheckKind.CHAINS,
            CheckKind.HOSTNAME,
            CheckKind.ENCRYPTED_KEYS,
            CheckKind.SIGNING_KEYS,
            CheckKind.SIGNATURE,
        ),
        (A813, CP9, DORA12),
        "the encrypted bundle opens, keys fit their certificates, and encrypted columns can be read",
        "that the identity which opened it is kept outside this machine",
    ),
    Evidence(
        "Harbor itself",
        (
            CheckKind.HARBOR_START,
            CheckKind.HARBOR_LOGIN,
            CheckKind.HARBOR_COUNTS,
            CheckKind.HARBOR_SETTINGS,
            CheckKind.HARBOR_ROBOT,
            CheckKind.HARBOR_PULL,
            CheckKind.HARBOR_PUSH,
            CheckKind.HARBOR_JOBS,
            CheckKind.HARBOR_AUDIT_LOG,
        ),
        _RECOVERY,
        "the application started on what was restored, let a user and a robot in, and served and took images",
        "its pages and scanner, which a drill does not start; its jobs, which it keeps from running;"
        " logins by LDAP or OIDC",
    ),
    Evidence(
        "the recovery point as a whole",
        (CheckKind.PARTS,),
        (A813, CP9),
        "its parts are those that were sealed together",
        "the time before the backup: what was lost by then is not in it",
    ),
    RECOVERY,
    PLANTED,
)


def of_check(kind: CheckKind) -> Evidence:
    """What a check of that kind is evidence for."""
    return next(evidence for evidence in TABLE if kind in evidence.kinds)


def evidence(reports: Sequence[DrillReport]) -> tuple[EvidenceLine, ...]:
    """What these drills are evidence for; what had nothing to look at counts as not tried."""
    results = Counter[tuple[str, bool]]()
    for check in (check for report in reports for check in report.checks):
        if check.outcome is not Outcome.NOT_PROVABLE:
            results[of_check(check.kind).subject, check.outcome is Outcome.PASSED] += 1
    for report in reports:
        # Without a disk for the images nobody has measured it.
        if report.level == "full" and not report.streamed:
            results[RECOVERY.subject, report.recovery_time_seconds is not None] += 1
        for control in report.controls:
            results[PLANTED.subject, control.caught] += 1
    return tuple(_line(each, results[each.subject, True], results[each.subject, False]) for each in TABLE)


def _line(of: Evidence, held: int, failed: int) -> EvidenceLine:
    names = tuple(control.name for control in of.controls)
    return EvidenceLine(of.subject, names, held + failed, held, of.shows, of.not_shown)
