"""Which rows of Harbor's database belong together, and which of them refer to something that is not there.

Harbor declares few foreign keys (make/migrations/postgresql), so nothing but these queries finds a database
that is torn (torn.py asks them). What Harbor leaves behind itself is told apart, by what its own code deletes
and what it does not (src/controller, src/pkg and src/jobservice/job/impl/gc of 2.16):

- projects and users are never deleted, only marked;
- a project's webhooks, labels and allow list stay when it is marked as deleted;
- artifact_blob keeps the rows of a deleted artifact until garbage collection has swept it;
- an accessory may come before its subject, and outlives it where it only refers to it;
- reports outlive the artifact if the clean-up after its deletion fails;
- the migration to 2.0 gave artifacts whose repository was gone a negative repository_id (issue 11754);
- a proxy cache knows of blobs that it has not fetched.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import LiteralString

Key = tuple[str, tuple[str, ...], str, tuple[str, ...]]

# Asked of rows that refer to nothing alone, which are few: over all rows each would cost a join.
_NO_LIVE_ARTIFACT: LiteralString = (
    "NOT EXISTS (SELECT FROM public.artifact a LEFT JOIN public.project p ON p.project_id = a.project_id"
    " WHERE a.digest = c.digest_af AND coalesce(p.registry_id, 0) = 0)"
)
_PROXY: LiteralString = (
    "EXISTS (SELECT FROM public.project p WHERE p.project_id = c.project_id AND p.registry_id > 0)"
)
_NOT_NEEDED: LiteralString = (
    "NOT EXISTS (SELECT FROM public.artifact_blob ab JOIN public.artifact a ON a.digest = ab.digest_af"
    " WHERE ab.digest_blob = c.digest)"
)


# The tables that say which images there are.
OF_IMAGES = frozenset(
    (
        "project",
        "repository",
        "artifact",
        "artifact_blob",
        "artifact_reference",
        "artifact_accessory",
        "blob",
        "project_blob",
        "tag",
    )
)


@dataclass(frozen=True)
class Relation:
    """Rows of `child` (as `c`) each belong to a row of `parent`: "`rows`, each with its `other`".

    `only` narrows down which rows are meant; `litter` says which of those that refer to nothing are normal.
    A column that is NULL refers to nothing on purpose. `needs` names the columns that the conditions use.
    `where` narrows down the rows of `parent` (as `p`) that count; `as_text` compares a number with a text.
    """

    name: str
    rows: str
    other: str
    child: str
    columns: tuple[str, ...]
    parent: str
    keys: tuple[str, ...]
    only: LiteralString = "true"
    litter: LiteralString = "false"
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    where: LiteralString = "true"
    as_text: bool = False

    @property
    def key(self) -> Key:
        """What a foreign key would be made of."""
        return self.child, self.columns, self.parent, self.keys

    def fits(self, have: Mapping[str, Set[str]]) -> bool:
        """Whether this version of Harbor has all the tables and columns."""
        wanted = [(self.child, self.columns), (self.parent, self.keys), *self.needs.items()]
        return all(set(columns) <= have.get(table, set()) for table, columns in wanted)


def _of_project(rows: str, child: str, column: str = "project_id", only: LiteralString = "true") -> Relation:
    return Relation(f"{rows} to project", rows, "project", child, (column,), "project", ("project_id",), only)


RELATIONS: tuple[Relation, ...] = (
    # Images
    Relation("tags to artifact", "tags", "artifact", "tag", ("artifact_id",), "artifact", ("id",)),
    Relation(
        "tags to repository", "tags", "repository",
        "tag", ("repository_id",), "repository", ("repository_id",),
    ),
    Relation(
        "tags to artifact of their repository", "tags", "artifact in the same repository",
        "tag", ("artifact_id", "repository_id"), "artifact", ("id", "repository_id"),
    ),
    Relation(
        "artifacts to repository", "artifacts", "repository",
        "artifact", ("repository_id", "repository_name"), "repository", ("repository_id", "name"),
        litter="c.repository_id < 0",
    ),
    _of_project("artifacts", "artifact"),
    _of_project("repositories", "repository"),
    Relation(
        "artifacts to their blobs", "artifacts", "list of blobs",
        "artifact", ("digest", "digest"), "artifact_blob", ("digest_af", "digest_blob"),
        litter=_PROXY, needs={"project": ("registry_id",), "artifact": ("project_id",)},
    ),
    Relation(
        "artifact blobs to blob", "blobs of artifacts", "row in blob",
        "artifact_blob", ("digest_blob",), "blob", ("digest",),
        litter=_NO_LIVE_ARTIFACT, needs={"project": ("registry_id",), "artifact": ("digest", "project_id")},
    ),
    Relation(
        "artifact blobs to artifact", "lists of blobs", "artifact",
        "artifact_blob", ("digest_af",), "artifact", ("digest",), litter="true",
    ),
    Relation(
        # Garbage collection removes what no project has (GetBlobsNotRefedByProjectBlob).
        "blobs to project", "blobs", "project that keeps it from garbage collection",
        "blob", ("id",), "project_blob", ("blob_id",),
        litter=_NOT_NEEDED, needs={"artifact_blob": ("digest_af",), "artifact": ("digest",)},
    ),
    Relation(
        "project blobs to blob", "blobs of projects", "row in blob",
        "project_blob", ("blob_id",), "blob", ("id",),
    ),
    _of_project("project blobs", "project_blob"),
    Relation(
        "index entries to index", "entries of image indexes", "index",
        "artifact_reference", ("parent_id",), "artifact", ("id",),
    ),
    Relation(
        "index entries to child", "entries of image indexes", "child of that digest",
        "artifact_reference", ("child_id", "child_digest"), "artifact", ("id", "digest"),
    ),
    Relation(
        "accessories to artifact", "accessories", "artifact of that digest",
        "artifact_accessory", ("artifact_id", "digest"), "artifact", ("id", "digest"),
    ),
    Relation(
        "accessories to subject", "accessories", "subject",
        "artifact_accessory", ("subject_artifact_id",), "artifact", ("id",), litter="true",
    ),
    Relation(
        "labels to artifact", "labels on artifacts", "artifact",
        "label_reference", ("artifact_id",), "artifact", ("id",),
    ),
    # People
    _of_project("members", "project_member"),
    Relation(
        "members to user", "members that are users", "user",
        "project_member", ("entity_id",), "harbor_user", ("user_id",), only="c.entity_type = 'u'",
    ),
    Relation(
        "members to group", "members that are groups", "group",
        "project_member", ("entity_id",), "user_group", ("id",), only="c.entity_type = 'g'",
    ),
    Relation("members to role", "members", "role", "project_member", ("role",), "role", ("role_id",)),
    Relation("projects to owner", "projects", "owner", "project", ("owner_id",), "harbor_user", ("user_id",)),
    _of_project("robots", "robot", only="c.project_id > 0"),
    Relation(
        "permissions to policy", "permissions of robots", "policy",
        "role_permission", ("permission_policy_id",), "permission_policy", ("id",),
    ),
    Relation(
        # A project that is deleted takes its robots along, and leaves their permissions.
        "permissions to robot", "permissions of robots", "robot",
        "role_permission", ("role_id",), "robot", ("id",),
        only="c.role_type = 'robotaccount'", litter="true",
    ),
    # Policies
    _of_project("project settings", "project_metadata"),
    _of_project("retention rules", "retention_policy", "scope_reference", "c.scope_level = 'project'"),
    _of_project("immutability rules", "immutable_tag_rule"),
    _of_project("webhooks", "notification_policy"),
    _of_project("preheat rules", "p2p_preheat_policy"),
    _of_project("allow lists", "cve_allowlist", only="c.project_id > 0"),
    Relation(
        "replication rules to source", "replication rules that pull", "registry",
        "replication_policy", ("src_registry_id",), "registry", ("id",),
        only="c.src_registry_id > 0 AND NOT c.deleted", needs={"replication_policy": ("deleted",)},
    ),
    Relation(
        "replication rules to target", "replication rules that push", "registry",
        "replication_policy", ("dest_registry_id",), "registry", ("id",),
        only="c.dest_registry_id > 0 AND NOT c.deleted", needs={"replication_policy": ("deleted",)},
    ),
    Relation(
        "proxy caches to registry", "proxy caches", "registry",
        "project", ("registry_id",), "registry", ("id",), only="c.registry_id > 0 AND NOT c.deleted",
    ),
    Relation(
        # Without it a push fails ("quota not found"). While quotas are on, as they are unless a row of
        # properties says otherwise, every project gets one, proxy caches too.
        "projects to quota", "projects", "quota", "project", ("project_id",), "quota", ("reference_id",),
        only="NOT c.deleted AND NOT EXISTS (SELECT FROM public.properties s"
        " WHERE s.k = 'quota_per_project_enable' AND s.v = 'false')",
        needs={"quota": ("reference",), "properties": ("k", "v"), "project": ("deleted",)},
        where="p.reference = 'project'", as_text=True,
    ),
    Relation(
        # Harbor joins the two by id (src/pkg/quota/dao).
        "quotas to usage", "quotas", "usage", "quota", ("id",), "quota_usage", ("id",),
    ),
    # Scans and jobs
    Relation(
        "scan reports to artifact", "scan reports", "artifact",
        "scan_report", ("digest",), "artifact", ("digest",), litter="true",
    ),
    Relation(
        "findings to scan report", "findings", "scan report",
        "report_vulnerability_record", ("report_uuid",), "scan_report", ("uuid",),
    ),
    Relation(
        "findings to vulnerability", "findings", "vulnerability",
        "report_vulnerability_record", ("vuln_record_id",), "vulnerability_record", ("id",),
    ),
    Relation(
        "SBOM reports to artifact", "SBOM reports", "artifact",
        "sbom_report", ("artifact_id",), "artifact", ("id",), litter="true",
    ),
    Relation("tasks to execution", "tasks", "execution", "task", ("execution_id",), "execution", ("id",)),
)  # fmt: skip
