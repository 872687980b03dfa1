"""What is wrong with a site, by kind: scripts and metrics go by the kind, people by the sentence."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ProblemKind(StrEnum):
    """Everything that `status` can find; part of the interface, for alerts are made of it."""

    NO_POINT = "no_point"
    OBJECTIVE = "objective"
    INCOMPLETE_POINTS = "incomplete_points"
    BROKEN_SEAL = "broken_seal"
    POINTS_MISSING = "points_missing"
    OTHER_REPOSITORY = "other_repository"
    OTHER_HOST = "other_host"
    FUTURE = "future"
    DRILL = "drill"
    UNPROVEN_KEYS = "unproven_keys"
    LAST_RUN = "last_run"
    LOST_RUN = "lost_run"
    NEVER_RAN = "never_ran"
    DAMAGE = "damage"
    CERTIFICATE = "certificate"
    SECRET_REPLACED = "secret_replaced"
    KEY_LOST = "key_lost"
    KEY_FAULT = "key_fault"
    SOURCE_DROPPED = "source_dropped"
    SOURCE_UNPROTECTED = "source_unprotected"
    HARBOR_DRIFT = "harbor_drift"
    SCHEMA = "schema"
    TORN = "torn"
    IMAGES_MISSING = "images_missing"
    COLLAPSE = "collapse"
    NOT_TOLD = "not_told"
    FULL_DISK = "full_disk"
    REPOSITORY = "repository"
    NOT_COPIED = "not_copied"
    VAULT = "vault"
    LEDGER = "ledger"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong; what is not `red` wants attention and leaves the site green.

    `subject` is what it is about, where there may be several of that kind: a verb, a repository, a path.
    `cause` is worth another message where it changes: an error's kind.
    """

    kind: ProblemKind
    message: str
    hint: str = ""
    red: bool = True
    subject: str = ""
    cause: str = ""

    @property
    def key(self) -> str:
        """What it is known by from one look to the next, whatever the sentence says by then."""
        return f"{self.kind}:{self.subject}"
