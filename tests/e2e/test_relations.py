"""Harbor's relations and inventory on a database that is filled as Harbor fills it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from drkit.checks.relations import same_inventory
from drkit.harbor import inventory, relations, torn
from drkit.harbor.relations import Relation
from drkit.tools.postgres import sessions, sql, targets
from drkit.tools.postgres.sessions import Session
from testenv import Site

# Of what this site has no rows.
_EMPTY = {"preheat rules to project"}


@pytest.fixture
def session(site: Site) -> Iterator[Session]:
    """A session whose changes are undone."""
    target = targets.target(site.dsn, site.password_file)
    with sessions.connect(target) as opened, opened.undone():
        yield opened


def by_name(name: str) -> Relation:
    return next(relation for relation in relations.RELATIONS if relation.name == name)


def change(session: Session, *statements: str) -> None:
    """Change rows as an accident would: no foreign key and no trigger looks on."""
    session.execute("SET LOCAL session_replication_role = replica")
    for statement in statements:
        session.execute(sql.trusted(statement))


def found(session: Session, name: str) -> tuple[int, int]:
    measured = torn.measure(session, by_name(name))
    return measured.torn, measured.litter


def test_a_healthy_harbor_has_all_relations_and_nothing_is_torn(session: Session) -> None:
    present = torn.present(session)
    assert present == relations.RELATIONS, "the practice registry has every table"
    measured = {relation.name: torn.measure(session, relation) for relation in present}
    assert {name for name, one in measured.items() if not one.rows} == _EMPTY
    assert {name for name, one in measured.items() if one.torn or one.litter} == set()


def test_every_relation_notices_what_is_gone(session: Session) -> None:
    for relation in relations.RELATIONS:
        if relation.name in _EMPTY:
            continue
        with session.undone():
            change(session)
            assert session.execute(torn.tearing(relation)) > 0, relation.name
            measured = torn.measure(session, relation)
        normal = relation.litter == "true"
        assert bool(measured.torn) is not normal, measured
        assert bool(measured.litter) is normal, measured
        assert bool(measured.example) is bool(measured.torn), measured


@pytest.mark.parametrize(
    ("name", "accident", "expected"),
    [
        # Garbage collection would take a blob that an image needs.
        (
            "blobs to project",
            "DELETE FROM public.project_blob WHERE blob_id = (SELECT min(blob_id) FROM public.project_blob)",
            (1, 0),
        ),
        # What Harbor leaves behind.
        (
            "artifacts to repository",
            "UPDATE public.artifact SET repository_id = -id WHERE id = (SELECT min(id) FROM public.artifact)",
            (0, 1),
        ),
        ("members to user", "UPDATE public.harbor_user SET deleted = true", (0, 0)),
        ("robots to project", "UPDATE public.project SET deleted = true", (0, 0)),
        (
            "artifact blobs to blob",
            "WITH gone AS (DELETE FROM public.artifact WHERE id = (SELECT max(id) FROM public.artifact)"
            "  RETURNING digest)"
            " DELETE FROM public.blob b USING gone WHERE b.digest = gone.digest",
            (0, 1),
        ),
        (
            "accessories to subject",
            "UPDATE public.artifact_accessory SET subject_artifact_id = 0",
            (0, 2),
        ),
        (
            "replication rules to target",
            "UPDATE public.replication_policy SET deleted = true, dest_registry_id = 99999",
            (0, 0),
        ),
        # What no foreign key sees.
        ("tags to artifact of their repository", "UPDATE public.tag SET repository_id = 99999", (16, 0)),
        ("index entries to child", "UPDATE public.artifact_reference SET child_digest = 'sha256:0'", (2, 0)),
        ("quotas to usage", "UPDATE public.quota_usage SET id = id + 1000", (4, 0)),
    ],
)
def test_what_is_torn_and_what_is_normal(
    session: Session, name: str, accident: str, expected: tuple[int, int]
) -> None:
    change(session, accident)
    assert found(session, name) == expected


def test_a_proxy_cache_may_know_blobs_that_it_has_not_fetched(session: Session) -> None:
    """A project that is none has 0 in registry_id, or NULL if it is from before Harbor 2.1."""
    change(session, "UPDATE public.project SET registry_id = 1", "DELETE FROM public.blob")
    assert found(session, "artifact blobs to blob")[0] == 0
    for none in ("0", "NULL"):
        change(session, f"UPDATE public.project SET registry_id = {none}")
        assert found(session, "artifact blobs to blob")[0] > 50


def test_what_this_version_of_harbor_lacks_is_left_out(session: Session) -> None:
    change(
        session,
        "DROP TABLE public.sbom_report, public.p2p_preheat_policy",
        "ALTER TABLE public.project DROP COLUMN registry_id",
    )
    names = {relation.name for relation in torn.present(session)}
    gone = {relation.name for relation in relations.RELATIONS} - names
    assert gone == {
        "SBOM reports to artifact",
        "preheat rules to project",
        "proxy caches to registry",
        "artifacts to their blobs",
        "artifact blobs to blob",
    }


def test_only_a_foreign_key_that_was_checked_is_trusted(session: Session) -> None:
    key = by_name("tags to artifact").key
    assert key in torn.guarded(session)
    change(
        session,
        "ALTER TABLE public.tag DROP CONSTRAINT tag_artifact_id_fkey",
        "ALTER TABLE public.tag ADD FOREIGN KEY (artifact_id) REFERENCES public.artifact (id) NOT VALID",
    )
    assert key not in torn.guarded(session)


def test_the_inventory_is_told_in_words(session: Session) -> None:
    lines = {subject: inventory.tell(session, subject).said for subject in inventory.subjects(session)}
    assert list(lines) == [
        "projects", "users", "members", "artifacts", "signatures and SBOMs", "robots", "retention",
        "immutability", "webhooks", "replication", "scans", "settings", "audit log",
    ]  # fmt: skip
    assert lines["projects"] == "4 projects (2 public, 1 proxy cache)"
    assert lines["robots"] == "5 robots (1 system-wide)"
    assert lines["settings"].endswith("login by oidc_auth")


def test_an_inventory_is_compared_by_its_facts_and_not_by_its_words(session: Session) -> None:
    then = inventory.tell(session, "robots")
    reworded = replace(then, said="five robots, said otherwise by another drkit")
    assert same_inventory(session, "robots", reworded, known=True).outcome == "passed"
    gone = same_inventory(session, "robots", replace(then, facts={**then.facts, "all": 6}), known=True)
    assert gone.outcome == "failed"


_LAST = (
    "INSERT INTO public.audit_log{0} (project_id, operation, resource_type, resource, username, op_time)"
    " VALUES (1, 'create', 'artifact', 'library/nginx', 'jane', '{1}')"
)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            _LAST.format("", "2126-11-02 14:03"),
            "last entry 2126-11-02 14:03 UTC: create of artifact library/nginx by jane",
        ),
        (
            _LAST.format("_ext", "2126-11-02 14:04"),
            "last entry 2126-11-02 14:04 UTC: create of artifact library/nginx by jane",
        ),
        ("DELETE FROM public.audit_log; DELETE FROM public.audit_log_ext", "no entries"),
    ],
)
def test_the_last_entry_of_the_audit_log(session: Session, statement: str, said: str) -> None:
    change(session, *statement.split(";"))
    assert inventory.tell(session, "audit log").said == said


def test_an_inventory_of_nothing(session: Session) -> None:
    """Every subject has words for an empty table."""
    change(session, "TRUNCATE public.harbor_user, public.project, public.artifact, public.robot CASCADE")
    lines = {subject: inventory.tell(session, subject).said for subject in inventory.subjects(session)}
    assert lines["users"] == "no users, 2 groups"
    assert lines["projects"] == "no projects"
    assert lines["robots"] == "no robots"
