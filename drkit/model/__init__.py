"""The nouns of drkit: frozen values, no input or output.

Times are aware datetimes in UTC, durations seconds, sizes bytes; a digest is `sha256:<64 hex digits>`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from drkit.model.closure import (
    Closure,
    LinkProof,
    ManifestProof,
    SizeMismatch,
)
from drkit.model.drill import (
    CheckResult,
    ControlResult,
    DatabaseSummary,
    DrillNote,
    DrillReport,
    Level,
    Objective,
    Outcome,
    Stage,
    Statement,
    Unplanted,
)
from drkit.model.evidence import (
    DatabaseEvidence,
    DatabaseShape,
    Grant,
    InventoryLine,
    LargeObjects,
    RelationEvidence,
    SequenceEvidence,
    Setting,
    TableEvidence,
)
from drkit.model.point import (
    MANIFEST_SCHEMA,
    Bucketed,
    BucketPlace,
    CertificateFacts,
    Manifest,
    Part,
    PartKind,
    Point,
    PointStatus,
    SecretFile,
    Volume,
)

__all__ = [
    "MANIFEST_SCHEMA",
    "BucketPlace",
    "Bucketed",
    "CertificateFacts",
    "CheckResult",
    "Closure",
    "ControlResult",
    "DatabaseEvidence",
    "DatabaseShape",
    "DatabaseSummary",
    "DrillNote",
    "DrillReport",
    "Grant",
    "InventoryLine",
    "LargeObjects",
    "Level",
    "LinkProof",
    "Manifest",
    "ManifestProof",
    "Objective",
    "Outcome",
    "Part",
    "PartKind",
    "Point",
    "PointStatus",
    "RelationEvidence",
    "SecretFile",
    "SequenceEvidence",
    "Setting",
    "SizeMismatch",
    "Stage",
    "Statement",
    "TableEvidence",
    "Unplanted",
    "Volume",
    "utc_now",
]


def utc_now() -> datetime:
    """This moment; asked for once at the edge and passed down."""
    return datetime.now(UTC)
