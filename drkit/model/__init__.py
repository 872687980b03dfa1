"""The nouns of drkit: frozen values, no input or output.

Times are aware datetimes in UTC, durations seconds, sizes bytes; a digest is `sha256:<64 hex digits>`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from drkit.model.attempt import ALL_DATA, SOME_DATA, STRUCTURE, Attempt
from drkit.model.check import CheckKind, CheckResult, ControlResult, Outcome, Reason, Unplanted
from drkit.model.closure import (
    Closure,
    Dangling,
    DanglingKind,
    LinkProof,
    ManifestProof,
    SizeMismatch,
)
from drkit.model.drift import Drift, is_told
from drkit.model.drill import (
    DatabaseSummary,
    DrillNote,
    DrillReport,
    Level,
    Objective,
    ObjectiveName,
    Stage,
    Statement,
    Upgrade,
)
from drkit.model.evidence import (
    DatabaseEvidence,
    DatabaseShape,
    Grant,
    InventoryFacts,
    InventoryLine,
    LargeObjects,
    RelationEvidence,
    RestoreNeeds,
    SchemaFault,
    SequenceEvidence,
    Setting,
    TableEvidence,
)
from drkit.model.key_fault import KeyFault, KeyFaultKind, no_certificate, no_key
from drkit.model.loss import Collapse, Loss
from drkit.model.point import (
    MANIFEST_SCHEMA,
    SEAL_ONLY,
    Bucketed,
    BucketPlace,
    CertificateFacts,
    ConfigurationPlace,
    Part,
    PartKind,
    Point,
    PointManifest,
    PointStatus,
    SecretFile,
    Volume,
    in_seal,
)
from drkit.model.problem import Problem, ProblemKind
from drkit.model.shared import Shared
from drkit.model.status import NextRun, RepositoryStatus, Sizes, SourceKind, SourceStatus, Status

__all__ = [
    "ALL_DATA",
    "CLOCK_SKEW",
    "MANIFEST_SCHEMA",
    "SEAL_ONLY",
    "SOME_DATA",
    "STRUCTURE",
    "Attempt",
    "BucketPlace",
    "Bucketed",
    "CertificateFacts",
    "CheckKind",
    "CheckResult",
    "Closure",
    "Collapse",
    "ConfigurationPlace",
    "ControlResult",
    "Dangling",
    "DanglingKind",
    "DatabaseEvidence",
    "DatabaseShape",
    "DatabaseSummary",
    "Drift",
    "DrillNote",
    "DrillReport",
    "Grant",
    "InventoryFacts",
    "InventoryLine",
    "KeyFault",
    "KeyFaultKind",
    "LargeObjects",
    "Level",
    "LinkProof",
    "Loss",
    "ManifestProof",
    "NextRun",
    "Objective",
    "ObjectiveName",
    "Outcome",
    "Part",
    "PartKind",
    "Point",
    "PointManifest",
    "PointStatus",
    "Problem",
    "ProblemKind",
    "Reason",
    "RelationEvidence",
    "RepositoryStatus",
    "RestoreNeeds",
    "SchemaFault",
    "SecretFile",
    "SequenceEvidence",
    "Setting",
    "Shared",
    "SizeMismatch",
    "Sizes",
    "SourceKind",
    "SourceStatus",
    "Stage",
    "Statement",
    "Status",
    "TableEvidence",
    "Unplanted",
    "Upgrade",
    "Volume",
    "in_seal",
    "is_told",
    "no_certificate",
    "no_key",
    "utc_now",
]


# Clocks of two machines may differ by this much, and no more, before "the newest" means nothing.
CLOCK_SKEW = timedelta(minutes=5)


def utc_now() -> datetime:
    """This moment; asked for once at the edge and passed down."""
    return datetime.now(UTC)
