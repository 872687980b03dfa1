"""Damage that the list of digests does not show: the tree itself, and the manifests in it, do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import testenv
from drkit.registry import links
from testenv import Site, content, damage, rows
from tests.e2e.commands import Drkit
from tests.e2e.test_bad_input import only
from tests.e2e.test_drill_fails import detail, failed_drill

_TABLES = ("tag", "artifact_blob", "artifact", "project_blob", "blob", "repository")
_NAME = "library/torn"


@contextmanager
def pushed(site: Site) -> Iterator[tuple[str, str, str]]:
    """An untagged image and its two layers, of which nothing is left afterwards."""
    payloads = [b"the first of two", b"the second of two"]
    blobs = set(site.blobs.rglob("data"))
    with testenv.connect(site) as connection:
        keys = {table: "repository_id" if table == "repository" else "id" for table in _TABLES}
        newest = {
            table: connection.execute(f"SELECT coalesce(max({key}), 0) FROM {table}".encode()).fetchone()
            for table, key in keys.items()
        }
    image = testenv.push_image(site, "library", "torn", None, payloads)
    layers = [content.make_layer(payload, f"pushed-{n}").digest for n, payload in enumerate(payloads)]
    try:
        yield image, layers[0], layers[1]
    finally:
        with testenv.connect(site) as connection:
            for table, key in keys.items():
                connection.execute(f"DELETE FROM {table} WHERE {key} > %s".encode(), newest[table])
            rows.refresh_quotas(connection)
        shutil.rmtree(repository(site))
        for path in set(site.blobs.rglob("data")) - blobs:
            shutil.rmtree(path.parent)


def repository(site: Site) -> Path:
    return site.blobs / "docker/registry/v2/repositories" / _NAME


def forget(site: Site, digest: str) -> None:
    """No table knows of a blob any more, and its bytes are gone."""
    with testenv.connect(site) as connection:
        connection.execute(b"DELETE FROM artifact_blob WHERE digest_blob = %s", (digest,))
        connection.execute(
            b"DELETE FROM project_blob WHERE blob_id = (SELECT id FROM blob WHERE digest = %s)", (digest,)
        )
        connection.execute(b"DELETE FROM blob WHERE digest = %s", (digest,))
    damage.remove_blob(site, digest)


def test_a_layer_that_no_table_knows_of_and_an_empty_link(fresh: Drkit, site: Site) -> None:
    fresh.change(only("database", "blobs"))
    with pushed(site) as (image, lost, kept):
        forget(site, lost)
        damage.empty_link(site, _NAME, kept)
        result = fresh.ask("backup")
    link = f"docker/registry/v2/repositories/{_NAME}/_layers/sha256/{kept.partition(':')[2]}/link"
    assert result["status"] == "sealed", "what is there is worth having"
    assert result["warnings"] == [
        f"links are empty or truncated, and a registry fails on each (1): {link}",
        f"1 digests are needed by manifests and known to no table or link: {lost}, which {image} needs",
    ]
    closure = result["closure"]
    assert closure["missing"] == 0, "the tables ask for nothing that is not there"
    assert (closure["links"]["bad"], closure["links"]["bad_names"]) == (1, [link])
    shown = fresh.run("show", "latest").stdout
    assert f"bad link: {link}" in shown
    assert f"on no list: {lost}, which {image} needs" in shown
    ended = failed_drill(fresh, "links", "manifests resolve")
    assert link in detail(ended, "links")
    assert f"{_NAME}@{image}: {lost} is not there" in detail(ended, "manifests resolve")


def test_without_a_database_the_manifests_tell_what_the_links_do_not(fresh: Drkit, site: Site) -> None:
    fresh.change(only("blobs"))
    with pushed(site) as (image, lost, _):
        damage.remove_blob(site, lost)
        shutil.rmtree(repository(site) / "_layers/sha256" / lost.partition(":")[2])
        result = fresh.ask("backup")
        assert result["closure"]["missing"] == 0
        assert result["closure"]["manifests"]["unlisted_names"] == [f"{lost}, which {image} needs"]
        again = fresh.ask("backup")["closure"]["manifests"]
        assert (again["read"], again["unlisted"]) == (0, 1), "read once, and told every time"
    ended = failed_drill(fresh, "manifests resolve")
    assert f"{_NAME}@{image}: {lost} is not there" in detail(ended, "manifests resolve")


def test_a_tag_in_the_storage_that_the_database_has_forgotten(fresh: Drkit, site: Site) -> None:
    """Harbor's garbage collection takes the manifest away, then the tags: Harbor asks neither for them."""
    fresh.change(only("database", "blobs"))
    missing = content.digest_of(b"a manifest that was collected")
    link = site.blobs / links.of_tag("library/collected", "stable")
    link.parent.mkdir(parents=True)
    link.write_text(missing)
    try:
        assert fresh.ask("backup")["warnings"] == []
    finally:
        shutil.rmtree(site.blobs / "docker/registry/v2/repositories/library/collected")
    told = {check["name"]: check["detail"] for check in fresh.ask("drill")["checks"]}["links"]
    assert told.endswith("tags of manifests that the database does not have: 1 (library/collected:stable)")
