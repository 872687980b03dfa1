"""Which images Harbor is started from."""

from __future__ import annotations

import pytest

from drkit.harbor import versions
from drkit.sandbox.harbor.choice import Images, NoImages, choose, choose_newer


def images(*tags: str, place: str = "goharbor/", cache: str = "redis-photon") -> list[str]:
    return [f"{place}{name}:{tag}" for tag in tags for name in ("harbor-core", "registry-photon", cache)]


def test_the_newest_that_fits() -> None:
    here = ["postgres:15", *images("v2.13.4", "v2.15.0", "v2.15.2", "v2.15.3", place="mirror:5000/harbor/")]
    found = choose(here, 180)
    assert isinstance(found, Images)
    assert found.core == "mirror:5000/harbor/harbor-core:v2.15.2"
    assert found.registry == "mirror:5000/harbor/registry-photon:v2.15.2"
    assert found.cache == "mirror:5000/harbor/redis-photon:v2.15.2"
    assert found.tag == "v2.15.2"


def test_valkey_where_it_is() -> None:
    found = choose(images("v2.16.0", cache="valkey-photon"), 190)
    assert isinstance(found, Images)
    assert found.cache == "goharbor/valkey-photon:v2.16.0"


def test_the_wanted_one_of_several() -> None:
    found = choose(images("v2.15.0", "v2.15.2"), 180, "2.15.0")
    assert isinstance(found, Images)
    assert found.tag == "v2.15.0"


def test_a_patch_with_a_schema_of_its_own() -> None:
    """A patch release may bring a migration whose number nobody has foreseen."""
    assert isinstance(choose(images("v2.15.7"), 182), Images)
    assert isinstance(choose(images("v2.14.9"), 182), NoImages)


@pytest.mark.parametrize(
    ("here", "schema", "wanted", "reason"),
    [
        ([], 170, None, "there is no image harbor-core on this machine"),
        (["goharbor/harbor-core-base:dev"], 170, None, "there is no image harbor-core on this machine"),
        (
            images("v2.13.0", "v2.15.0"),
            170,
            None,
            "the point's schema 170 needs Harbor 2.14.0, and the images here are of v2.13.0, v2.15.0",
        ),
        (
            images("dev"),
            170,
            None,
            "the point's schema 170 needs Harbor 2.14.0, and the images here are of dev",
        ),
        (
            images("v2.14.0"),
            170,
            "v2.14.1",
            "there is no image harbor-core of Harbor v2.14.1 on this machine",
        ),
        (
            images("v2.14.0", "v2.13.0"),
            170,
            "v2.13.0",
            "the point's schema 170 needs Harbor 2.14.0, and the images here are of v2.13.0",
        ),
        (
            images("v2.14.0"),
            900,
            None,
            "drkit does not know which Harbor schema 900 is of (images here: v2.14.0)",
        ),
        (
            images("v2.14.0")[:1],
            170,
            None,
            "there is no image goharbor/registry-photon:v2.14.0 on this machine",
        ),
        (
            images("v2.14.0")[:2],
            170,
            None,
            "there is no image goharbor/valkey-photon:v2.14.0 or goharbor/redis-photon:v2.14.0"
            " on this machine",
        ),
    ],
)
def test_none(here: list[str], schema: int, wanted: str | None, reason: str) -> None:
    found = choose(here, schema, wanted)
    assert isinstance(found, NoImages)
    assert found.reason == reason
    assert found.hint


@pytest.mark.parametrize(
    ("tag", "schema"),
    [
        ("v2.8.0", 110),
        ("v2.8.6", 111),
        ("2.14.0", 170),
        ("v2.14.1-rc1", 171),
        ("v2.15.2", 180),
        ("v2.15.3", 181),
        ("v2.16.4", 190),
        ("v2.17.0", None),
        ("v1.10.0", None),
    ],
)
def test_the_schema_of_a_release(tag: str, schema: int | None) -> None:
    found = versions.release(tag)
    assert found is not None
    assert versions.schema_of(found) == schema


@pytest.mark.parametrize("tag", ["latest", "dev", "v2.14", "2.14.x", ""])
def test_what_is_no_release(tag: str) -> None:
    assert versions.release(tag) is None


def test_every_schema_that_is_told_can_be_chosen() -> None:
    for schema in range(100, 200):
        known = versions.describe(schema) != f"Harbor (schema {schema})"
        assert versions.known(schema) is known
    for release in ((2, 8, 0), (2, 12, 3), (2, 16, 0)):
        own = versions.schema_of(release)
        assert own is not None
        assert versions.fits(release, own)
        assert f"{release[0]}.{release[1]}" in versions.named(own)


def test_a_newer_one_to_upgrade_to() -> None:
    here = images("v2.14.0", "v2.15.2", "v2.99.0")
    for tag in ("v2.15.2", "2.15.2"):
        found = choose_newer(here, 170, tag)
        assert isinstance(found, Images)
        assert found.tag == "v2.15.2"
    # What drkit does not know yet is newer than all that it knows.
    assert isinstance(choose_newer(here, 170, "v2.99.0"), Images)
    # The same schema is no upgrade of the database, and may be tried all the same.
    assert isinstance(choose_newer(here, 180, "v2.15.2"), Images)


@pytest.mark.parametrize(
    ("schema", "tag", "reason"),
    [
        (170, "v2.16.0", "there is no image harbor-core of Harbor v2.16.0 on this machine"),
        (190, "v2.15.2", "Harbor v2.15.2 is older than the point: its schema is 180, the point's is 190"),
    ],
)
def test_none_to_upgrade_to(schema: int, tag: str, reason: str) -> None:
    found = choose_newer(images("v2.15.2"), schema, tag)
    assert isinstance(found, NoImages)
    assert found.reason == reason


def test_jobservice_where_it_is() -> None:
    without = choose(images("v2.14.0"), 170)
    assert isinstance(without, Images)
    assert without.jobservice is None
    found = choose([*images("v2.14.0"), "goharbor/harbor-jobservice:v2.14.0"], 170)
    assert isinstance(found, Images)
    assert found.jobservice == "goharbor/harbor-jobservice:v2.14.0"
    other = choose([*images("v2.14.0"), "goharbor/harbor-jobservice:v2.13.0"], 170)
    assert isinstance(other, Images)
    assert other.jobservice is None
