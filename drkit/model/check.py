"""Checks and controls: what each is about, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What came of a check or a drill. There is no `skipped`: what could not be tested is an `error`.

    `not_provable` is for a check alone: there was nothing to try it on, which is said and never a pass.
    """

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    NOT_PROVABLE = "not_provable"


class CheckKind(StrEnum):
    """What a check is about: what programs go by. Its name is for people."""

    PARTS = "parts"
    DATABASE_RESTORE = "database_restore"
    IMAGES_RESTORE = "images_restore"
    SECRETS_RESTORE = "secrets_restore"
    TABLES = "tables"
    RELATION = "relation"
    INVENTORY = "inventory"
    SCHEMA = "schema"
    TAGS = "tags"
    BLOBS = "blobs"
    CLOSURE = "closure"
    DIGESTS = "digests"
    TAG_LIST = "tag_list"
    NAMES = "names"
    VAULT = "vault"
    TREE = "tree"
    LINKS = "links"
    MANIFESTS = "manifests"
    BUNDLE = "bundle"
    PAIRS = "pairs"
    SECRET_KEY = "secret_key"
    NAMED_FILES = "named_files"
    EXPIRY = "expiry"
    CHAINS = "chains"
    HOSTNAME = "hostname"
    ENCRYPTED_KEYS = "encrypted_keys"
    SIGNING_KEYS = "signing_keys"
    SIGNATURE = "signature"
    PRODUCTION = "production"
    HARBOR_START = "harbor_start"
    HARBOR_LOGIN = "harbor_login"
    HARBOR_COUNTS = "harbor_counts"
    HARBOR_SETTINGS = "harbor_settings"
    HARBOR_ROBOT = "harbor_robot"
    HARBOR_PULL = "harbor_pull"
    HARBOR_PUSH = "harbor_push"
    HARBOR_JOBS = "harbor_jobs"
    HARBOR_AUDIT_LOG = "harbor_audit_log"


# How a person reads a check of each kind; {} is its subject, where the kind has several checks.
_NAMES = {
    CheckKind.PARTS: "parts belong to this point",
    CheckKind.DATABASE_RESTORE: "restore of database {}",
    CheckKind.IMAGES_RESTORE: "restore of images",
    CheckKind.SECRETS_RESTORE: "restore of secrets",
    CheckKind.TABLES: "tables of {}",
    CheckKind.RELATION: "relation: {}",
    CheckKind.INVENTORY: "inventory: {}",
    CheckKind.SCHEMA: "schema of {}",
    CheckKind.TAGS: "tags can be pulled",
    CheckKind.BLOBS: "blobs hash to their names",
    CheckKind.CLOSURE: "closure",
    CheckKind.DIGESTS: "digests as at the backup",
    CheckKind.TAG_LIST: "tags as at the backup",
    CheckKind.NAMES: "names as at the backup",
    CheckKind.VAULT: "blobs from the vault",
    CheckKind.TREE: "only files and directories",
    CheckKind.LINKS: "links",
    CheckKind.MANIFESTS: "manifests resolve",
    CheckKind.BUNDLE: "secrets bundle",
    CheckKind.PAIRS: "certificate pairs",
    CheckKind.SECRET_KEY: "secret key",
    CheckKind.NAMED_FILES: "what harbor.yml names",
    CheckKind.EXPIRY: "certificate expiry",
    CheckKind.CHAINS: "certificate chains",
    CheckKind.HOSTNAME: "certificate for the hostname",
    CheckKind.ENCRYPTED_KEYS: "encrypted private keys",
    CheckKind.SIGNING_KEYS: "cosign key pairs",
    CheckKind.SIGNATURE: "stored signature",
    CheckKind.PRODUCTION: "images of production",
    CheckKind.HARBOR_START: "Harbor starts",
    CheckKind.HARBOR_LOGIN: "Harbor: login",
    CheckKind.HARBOR_COUNTS: "Harbor: projects and repositories",
    CheckKind.HARBOR_SETTINGS: "Harbor: settings",
    CheckKind.HARBOR_ROBOT: "Harbor: robot",
    CheckKind.HARBOR_PULL: "Harbor: pull",
    CheckKind.HARBOR_PUSH: "Harbor: push",
    CheckKind.HARBOR_JOBS: "Harbor: jobservice",
    CheckKind.HARBOR_AUDIT_LOG: "Harbor: audit log",
}


class Reason(StrEnum):
    """Why a check came out as it did, where somebody goes by it; the sentence is for people alone."""

    # Production was like that when the point was taken: another backup changes nothing.
    AS_IN_PRODUCTION = "as_in_production"
    # Production has lost its images, and nobody has said that this is meant.
    COLLAPSED = "collapsed"
    # The configuration leaves it out: so would another backup.
    NOT_BACKED_UP = "not_backed_up"
    FOREIGN_KEY = "foreign_key"
    LITTER = "litter"


@dataclass(frozen=True)
class CheckResult:
    """One assertion on restored data.

    `subject` is the database, the relation or the subject of the inventory that it is about, where there are
    several; `name`, made of kind and subject, is for a person.
    """

    name: str = field(init=False)
    kind: CheckKind
    outcome: Outcome
    detail: str
    seconds: float
    subject: str = ""
    reason: Reason | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _NAMES[self.kind].format(self.subject))


@dataclass(frozen=True)
class ControlResult:
    """One fault that was planted on purpose; `caught` says whether its check turned red."""

    name: str
    caught: bool
    detail: str
    seconds: float


@dataclass(frozen=True)
class Unplanted:
    """A fault that could not be planted, for there is nothing to plant it in: neither caught nor missed."""

    name: str
    reason: str
