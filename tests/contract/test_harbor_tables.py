"""Which digests Harbor's tables refer to, and what they show of garbage collection: on its real tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

import testenv
from drkit.harbor import garbage_collection, listing, tables
from drkit.harbor.named import Named
from drkit.registry.image_list import Listed
from drkit.tools.postgres import sessions, sql
from drkit.tools.postgres.sessions import Session
from drkit.tools.postgres.targets import Target
from tests.cluster import Cluster

_SCHEMA = Path(testenv.__file__).with_name("schema.sql")
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
_FAR = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"


@pytest.fixture(scope="module")
def target(cluster: Cluster) -> Target:
    made = cluster.new_database()
    with sessions.connect(made) as session:
        session.execute("SET search_path = public")
        session.execute(sql.trusted(_SCHEMA.read_text()))
        session.execute(
            "INSERT INTO public.harbor_user (user_id, username, password, realname) VALUES (1, 'a', '', '')"
        )
        # NULL where the project is older than the column, 0 where Harbor made it.
        session.execute(
            "INSERT INTO public.project (project_id, owner_id, name, registry_id)"
            " VALUES (1, 1, 'old', NULL), (2, 1, 'plain', 0), (3, 1, 'proxy', 7)"
        )
    return made


@pytest.fixture
def session(target: Target) -> Iterator[Session]:
    with sessions.connect(target) as made, made.undone():
        yield made


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def blob(session: Session, letter: str, size: int, kind: str = _LAYER) -> None:
    session.execute(
        "INSERT INTO public.blob (digest, content_type, size) VALUES (%s, %s, %s)",
        (digest(letter), kind, size),
    )


def artifact(session: Session, project: int, letter: str, *blobs: str) -> int:
    """An artifact with its artifact_blob rows, one for the manifest itself among them."""
    row = session.row(
        "INSERT INTO public.artifact (project_id, repository_name, digest, type, repository_id, media_type,"
        " manifest_media_type, artifact_type) VALUES (%s, 'r', %s, 'IMAGE', %s, '', '', '') RETURNING id",
        (project, digest(letter), project),
    )
    for needed in (letter, *blobs):
        session.execute(
            "INSERT INTO public.artifact_blob (digest_af, digest_blob) VALUES (%s, %s)"
            " ON CONFLICT DO NOTHING",
            (digest(letter), digest(needed)),
        )
    return int(row[0])


def listed(session: Session) -> dict[str, int | None]:
    """What must be there, by the letter of its digest."""
    found = list(tables.digests(session))
    assert found == sorted(set(found))
    return {name.removeprefix("sha256:")[0]: size for name, size in found}


def test_images_with_their_sizes(session: Session) -> None:
    for letter, size in (("1", 300), ("2", 10), ("3", 20)):
        blob(session, letter, size)
    artifact(session, 2, "1", "2", "3")
    assert listed(session) == {"1": 300, "2": 10, "3": 20}


@pytest.mark.parametrize("project", [1, 2])
def test_a_torn_table_makes_nothing_optional(session: Session, project: int) -> None:
    """Harbor writes 0 for projects that are no proxy caches: their blobs must be there, row or no row."""
    artifact(session, project, "1", "2")
    assert listed(session) == {"1": None, "2": None}
    assert [image.proxy for image in tables.images(session)] == [False]
    assert list(tables.artifacts(session)) == [(digest("1"), None)]


def test_a_proxy_cache_needs_what_it_has_fetched(session: Session) -> None:
    blob(session, "2", 10)
    parent = artifact(session, 3, "1", "2", "3")
    child = artifact(session, 3, "4")
    session.execute(
        "INSERT INTO public.artifact_reference (parent_id, child_id, child_digest) VALUES (%s, %s, %s)",
        (parent, child, digest("5")),
    )
    assert listed(session) == {"2": 10}
    assert [image.proxy for image in tables.images(session)] == [True, True]
    assert list(tables.artifacts(session)) == []


def test_what_a_proxy_cache_shares_with_another_project_must_be_there(session: Session) -> None:
    artifact(session, 3, "1", "2")
    artifact(session, 2, "1")
    assert listed(session) == {"1": None, "2": None}


@pytest.mark.parametrize("kind", [_FOREIGN, _FAR])
def test_foreign_layers_are_not_stored(session: Session, kind: str) -> None:
    blob(session, "1", 300, _MANIFEST)
    blob(session, "2", 12_345, kind)
    artifact(session, 2, "1", "2")
    assert listed(session) == {"1": 300}


def test_children_accessories_and_system_artifacts(session: Session) -> None:
    for letter in ("1", "2", "3"):
        blob(session, letter, int(letter))
    index, child, signature = (artifact(session, 2, letter) for letter in ("1", "2", "3"))
    session.execute(
        "INSERT INTO public.artifact_reference (parent_id, child_id, child_digest) VALUES (%s, %s, %s)",
        (index, child, digest("2")),
    )
    session.execute(
        "INSERT INTO public.artifact_accessory (artifact_id, subject_artifact_digest, digest)"
        " VALUES (%s, %s, %s)",
        (signature, digest("9"), digest("3")),
    )
    # Pushed by Harbor itself, and in no other table; the size of 0 is the column's default.
    session.execute(
        "INSERT INTO public.system_artifact (repository, digest, size, vendor)"
        " VALUES ('a', %s, 55, 'scan'), ('b', %s, 0, 'scan'), ('c', '', 0, 'scan')",
        (digest("4"), digest("5")),
    )
    # The subject of a signature may come later, or never.
    assert listed(session) == {"1": 1, "2": 2, "3": 3, "4": 55, "5": None}


def test_what_a_deleted_artifact_needed_is_not_needed(session: Session) -> None:
    for letter in ("1", "2"):
        blob(session, letter, 1)
    artifact(session, 2, "1", "2")
    session.execute("DELETE FROM public.artifact")
    assert listed(session) == {}


def test_another_kind_of_digest_is_not_passed_over(session: Session) -> None:
    session.execute("INSERT INTO public.system_artifact (repository, digest) VALUES ('a', 'sha384:77')")
    # A registry stores this one by its SHA-256; the repository's link tells by which.
    session.execute("INSERT INTO public.system_artifact (repository, digest) VALUES ('a', 'sha512:77')")
    assert list(tables.digests(session)) == [("sha384:77", None)]


# Garbage collection


def execution(session: Session, status: str, attributes: str | None = "{}", ended: str = "NULL") -> int:
    query = (
        "INSERT INTO public.execution (vendor_type, status, trigger, extra_attrs, start_time, end_time)"
        " VALUES ('GARBAGE_COLLECTION', %s, 'MANUAL', %s, now(), now() + %s::interval) RETURNING id"
    )
    return int(session.value(query, (status, attributes, None if ended == "NULL" else ended)))


def moment(session: Session) -> datetime:
    found = session.value("SELECT now()")
    assert isinstance(found, datetime)
    return found


@pytest.mark.parametrize("status", ["Running", "Pending", "Scheduled", "Something new"])
@pytest.mark.parametrize("attributes", ["{}", None, '{"dry_run": false}', '{"dry_run": null}'])
def test_a_run_that_is_not_final_is_under_way(session: Session, status: str, attributes: str | None) -> None:
    number = execution(session, status, attributes)
    found = garbage_collection.under_way(session)
    assert found is not None
    assert found.id == number
    assert f"execution {number}, since 20" in found.sentence
    assert garbage_collection.since(session, garbage_collection.mark(session, moment(session)))


@pytest.mark.parametrize("status", ["Success", "Error", "Stopped"])
def test_a_run_that_has_ended_before_is_none(session: Session, status: str) -> None:
    execution(session, status, ended="-1 minute")
    execution(session, "Running", '{"dry_run": true}')
    assert garbage_collection.under_way(session) is None
    assert not garbage_collection.since(session, garbage_collection.mark(session, moment(session)))


def test_a_run_that_the_snapshot_does_not_know_is_new_whatever_its_clock_says(session: Session) -> None:
    execution(session, "Success", ended="-1 hour")
    known = garbage_collection.mark(session, moment(session))
    execution(session, "Success", '{"dry_run": true}', ended="-1 hour")
    assert not garbage_collection.since(session, known)
    execution(session, "Success", ended="-1 hour")
    assert garbage_collection.since(session, known)


def test_a_run_that_ended_after_the_moment(session: Session) -> None:
    execution(session, "Stopped", ended="1 second")
    assert garbage_collection.since(session, garbage_collection.mark(session, moment(session)))


@pytest.mark.parametrize(
    ("status", "age", "under_way"),
    [
        ("deleting", "1 minute", True),
        ("deleting", "1 day", False),
        ("delete", "1 minute", False),
        ("none", "0 minutes", False),
    ],
)
def test_a_sweep_shows_in_what_it_deletes(session: Session, status: str, age: str, under_way: bool) -> None:
    """A run that was told to stop is final at once; and blobs of a stopped sweep stay marked for ever."""
    session.execute(
        "INSERT INTO public.blob (digest, content_type, size, status, update_time)"
        " VALUES (%s, '', 1, %s, (now() AT TIME ZONE 'UTC') - %s::interval)",
        (digest("1"), status, age),
    )
    assert (garbage_collection.under_way(session) is not None) is under_way
    assert garbage_collection.since(session, garbage_collection.mark(session, moment(session))) is under_way


def test_blobs_that_were_marked_after_the_moment(session: Session) -> None:
    known = garbage_collection.mark(session, moment(session))
    blob(session, "1", 1)
    assert not garbage_collection.since(session, known)
    session.execute(
        "UPDATE public.blob SET status = 'delete', update_time = (now() AT TIME ZONE 'UTC') + interval '1s'"
    )
    assert garbage_collection.since(session, known)


def test_blobs_that_the_database_knows(session: Session) -> None:
    blob(session, "1", 1)
    session.execute(
        "INSERT INTO public.system_artifact (repository, digest) VALUES ('a', %s)", (digest("2"),)
    )
    asked = [digest(letter) for letter in "123"]
    assert garbage_collection.known_blobs(session, asked) == {digest("1"), digest("2")}


def test_the_list_of_images_is_sorted_and_says_what_each_is(session: Session) -> None:
    for number, name in enumerate(("plain/B", "plain/a"), 20):
        session.execute(
            "INSERT INTO public.repository (repository_id, name, project_id) VALUES (%s, %s, 2)",
            (number, name),
        )
    ids = {}
    for letter, repository in (("1", 20), ("2", 20), ("3", 20), ("4", 21)):
        ids[letter] = artifact(session, 2, letter)
        session.execute(
            "UPDATE public.artifact SET repository_id = %s, size = 7, repository_name ="
            " (SELECT name FROM public.repository WHERE repository_id = %s) WHERE id = %s",
            (repository, repository, ids[letter]),
        )
    for repository, letter, name in ((20, "1", "v2"), (20, "1", "V1"), (21, "4", "v1")):
        session.execute(
            "INSERT INTO public.tag (repository_id, artifact_id, name) VALUES (%s, %s, %s)",
            (repository, ids[letter], name),
        )
    session.execute(
        "INSERT INTO public.artifact_reference (parent_id, child_id, child_digest) VALUES (%s, %s, %s)",
        (ids["1"], ids["2"], digest("2")),
    )
    session.execute(
        "INSERT INTO public.artifact_accessory (artifact_id, subject_artifact_id, subject_artifact_digest)"
        " VALUES (%s, %s, %s)",
        (ids["3"], ids["1"], digest("1")),
    )
    found = list(listing.images(session))
    assert found == [
        Listed("plain/B", "", digest("2"), 7, "child"),
        Listed("plain/B", "", digest("3"), 7, "accessory", digest("1")),
        Listed("plain/B", "V1", digest("1"), 7),
        Listed("plain/B", "v2", digest("1"), 7),
        Listed("plain/a", "v1", digest("4"), 7),
    ]


def test_the_list_of_names(session: Session) -> None:
    session.execute(
        "INSERT INTO public.project_member (project_id, entity_id, entity_type, role) VALUES"
        " (2, 1, 'u', 1), (2, 99, 'g', 2)"
    )
    session.execute("INSERT INTO public.robot (name, project_id) VALUES ('ci', 2), ('all', 0)")
    assert list(listing.names(session)) == [
        Named("member", "plain: a, project admin"),
        Named("member", "plain: number 99, a group, developer"),
        Named("project", "old"),
        Named("project", "plain"),
        Named("project", "proxy"),
        Named("robot", "all"),
        Named("robot", "plain: ci"),
        Named("user", "a"),
    ]
