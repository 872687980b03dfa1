"""Images are found in recovery points, and those that one lacks in others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import testenv
from testenv import Site
from tests.e2e.commands import Drkit, assert_says
from tests.e2e.conftest import Drilled
from tests.e2e.resealing import change_tags
from tests.e2e.test_bad_input import only


def known(site: Site) -> dict[tuple[str, str], str]:
    """The digest of each repository and tag, as Harbor's database has them."""
    query = "SELECT a.repository_name, t.name, a.digest FROM artifact a JOIN tag t ON t.artifact_id = a.id"
    with testenv.connect(site) as connection:
        return {(str(row[0]), str(row[1])): str(row[2]) for row in connection.execute(query).fetchall()}


def by_tag(found: dict[str, object]) -> dict[tuple[str, str], str]:
    images = found["images"]
    assert isinstance(images, list)
    return {(each["repository"], each["tag"]): each["digest"] for each in images if each["tag"]}


def test_every_tag_is_found(copy: Drkit, drilled: Drilled, site: Site) -> None:
    found = copy.ask("show", "latest", "--images", "*:*")
    assert found["point"] == drilled.point
    assert by_tag(found) == known(site)
    assert found["count"] == len(found["images"])


def test_a_project_a_repository_a_tag_and_a_digest(copy: Drkit, site: Site) -> None:
    # Accessories belong to what they are about, and are not listed by themselves.
    tags = {each: digest for each, digest in known(site).items() if not each[1].startswith("sha256-")}
    (repository, tag), digest = next(iter(tags.items()))
    project = repository.partition("/")[0]
    for pattern, wanted in (
        (project, {each for each in tags if each[0].startswith(f"{project}/")}),
        (repository, {each for each in tags if each[0] == repository}),
        (f"{repository}:{tag}", {(repository, tag)}),
        (
            f"{repository}@{digest[:20]}",
            {each for each in tags if (each[0], tags[each]) == (repository, digest)},
        ),
    ):
        assert set(by_tag(copy.ask("show", "latest", "--images", pattern))) == wanted
        said = copy.run("show", "latest", "--images", pattern)
        assert said.code == 0
        assert all(name in said.stdout for name, _ in wanted)


def test_accessories_are_counted(copy: Drkit, site: Site) -> None:
    with testenv.connect(site) as connection:
        row = connection.execute(
            "SELECT a.repository_name, y.subject_artifact_digest, count(*) FROM artifact_accessory y"
            " JOIN artifact a ON a.id = y.artifact_id GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 1"
        ).fetchone()
    assert row is not None
    repository, subject, count = row
    found = copy.ask("show", "latest", "--images", f"{repository}@{subject}")
    assert {each["accessories"] for each in found["images"]} == {count}


def test_a_tag_that_is_gone_was_last_seen_before(copy: Drkit, drilled: Drilled, site: Site) -> None:
    (repository, tag), _ = sorted(known(site).items())[-1]
    with testenv.connect(site) as connection:
        row = connection.execute(
            "DELETE FROM tag WHERE name = %s AND artifact_id IN"
            " (SELECT id FROM artifact WHERE repository_name = %s) RETURNING *",
            (tag, repository),
        ).fetchone()
    assert row is not None
    try:
        newer = copy.ask("backup")["id"]
    finally:
        with testenv.connect(site) as connection:
            connection.execute(f"INSERT INTO tag VALUES ({', '.join(['%s'] * len(row))})".encode(), row)
    ended = copy.run("show", "latest", "--images", f"{repository}:{tag}")
    assert ended.code == 4
    assert_says(
        ended.complaint[0],
        f'recovery point {newer} has no image that matches "{repository}:{tag}"; it was last seen in'
        f" {drilled.point}, as of .* UTC",
    )
    assert ended.complaint[1] == f"drkit show {drilled.point} --images '{repository}:{tag}'"


@pytest.mark.parametrize(
    ("pattern", "code", "message", "hint"),
    [
        (
            "library/ngnix",
            4,
            '.*no image that matches "library/ngnix"',
            "the nearest names are library/nginx.*",
        ),
        ("library/nginx:no", 4, '.* no image .*"library/nginx:no"', "its repositories are there: .*"),
        ("a/b@sha256:1", 2, '"a/b@sha256:1" is no pattern: .*', ".*"),
    ],
)
def test_what_matches_nothing(copy: Drkit, pattern: str, code: int, message: str, hint: str) -> None:
    ended = copy.run("show", "latest", "--images", pattern)
    assert ended.code == code
    assert_says(ended.complaint[0], message)
    assert_says(ended.complaint[1], hint)


def test_of_a_plain_registry(fresh: Drkit, site: Site) -> None:
    fresh.change(only("blobs"))
    fresh.ask("backup")
    tags = known(site)
    found = by_tag(fresh.ask("show", "latest", "--images", "library"))
    assert found
    assert {each: tags[each] for each in found if each in tags} == {
        each: found[each] for each in found if each in tags
    }
    (repository, _), digest = next(iter(found.items()))
    images = fresh.ask("show", "latest", "--images", f"{repository}@{digest}")["images"]
    assert {(each["repository"], each["digest"]) for each in images} == {(repository, digest)}
    ended = fresh.run("show", "latest", "--images", "library/ngnix")
    assert (ended.code, list((fresh.state / "runs").iterdir())) == (4, [])
    assert Path("/proc/self/mountinfo").read_text().count(str(fresh.home)) == 0


def test_a_list_that_says_something_else_fails_the_drill(copy: Drkit, site: Site) -> None:
    """Whoever can write to the repository could let a tag mean another image, for `serve` and `show`."""
    tags = [each for each in sorted(known(site).items()) if not each[0][1].startswith("sha256-")]
    (first, digest), other = tags[0], next(other for _, other in tags if other != tags[0][1])

    def change(data: bytes) -> bytes:
        line = f'"tag": "{first[1]}", "digest": "{digest}"'.encode()
        assert data.count(line) == 1
        return data.replace(line, line.replace(digest.encode(), other.encode()))

    change_tags(copy, change)
    assert by_tag(copy.ask("show", "latest", "--images", ":".join(first))) == {first: other}
    ended = copy.run("drill", "--level", "quick", "--json")
    assert ended.code == 5
    failed = {c["name"]: c["detail"] for c in ended.envelope["result"]["checks"] if c["outcome"] == "failed"}
    assert set(failed) == {"tags as at the backup"}
    assert f"{first[0]}:{first[1]} is {other}, the restored database" in failed["tags as at the backup"]


def test_what_is_gone_since_a_point(copy: Drkit, drilled: Drilled, site: Site) -> None:
    def counts(found: Any) -> dict[str, tuple[int, int, int]]:
        kinds = {each["kind"]: (each["gone"], each["moved"], each["new"]) for each in found["kinds"]}
        return {kind: count for kind, count in kinds.items() if any(count)}

    assert counts(copy.ask("show", "latest", "--compare")) == {}
    assert "Nothing that was there is gone." in copy.run("show", "latest", "--compare").stdout
    (repository, tag), _ = sorted(known(site).items())[-1]
    new_tag = (
        "INSERT INTO tag (repository_id, artifact_id, name) SELECT repository_id, id, 'new' FROM artifact"
    )
    with testenv.connect(site) as connection:
        connection.execute("UPDATE robot SET name = name || '-other' WHERE id = (SELECT min(id) FROM robot)")
        connection.execute("UPDATE tag SET name = name || '-other' WHERE name = %s", (tag,))
        connection.execute(f"{new_tag} WHERE repository_name = %s LIMIT 1".encode(), (repository,))
    try:
        found = copy.ask("show", drilled.point, "--compare")
        said = copy.run("show", drilled.point, "--compare").stdout
    finally:
        with testenv.connect(site) as connection:
            connection.execute("DELETE FROM tag WHERE name = 'new'")
            connection.execute("UPDATE tag SET name = left(name, -6) WHERE name LIKE '%-other'")
            connection.execute("UPDATE robot SET name = left(name, -6) WHERE name LIKE '%-other'")
    assert counts(found) == {"robot": (1, 0, 1), "tag": (1, 0, 2)}
    assert f"{repository}:{tag}" in said
    assert found["point"] == drilled.point
    ended = copy.run("show", "latest", "--compare", "--images", "library")
    assert (ended.code, ended.complaint[0]) == (2, "--images and --compare show different things")


def test_a_plain_registry_is_compared_by_its_tags(fresh: Drkit, site: Site) -> None:
    fresh.change(only("blobs"))
    fresh.ask("backup")
    tags = site.blobs / "docker/registry/v2/repositories/library/nginx/_manifests/tags"
    tag = sorted(tags.iterdir())[-1]
    aside = site.root / "aside"
    tag.rename(aside)
    try:
        found = fresh.ask("show", "latest", "--compare")
    finally:
        aside.rename(tag)
    assert {each["kind"]: each["gone_names"] for each in found["kinds"] if each["gone"]} == {
        "tag": [f"library/nginx:{tag.name}"]
    }
