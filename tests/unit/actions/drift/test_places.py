"""What harbor.yml names against what the configuration says: where they agree, and where they do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from drkit import config
from drkit.actions.drift import places, servers
from drkit.harbor import storage_service
from drkit.harbor.installation import HarborDatabase, parse_installation
from drkit.model import Drift
from drkit.tools.postgres.sessions import ServerIdentity
from drkit.tools.postgres.targets import Target

YML = Path("/opt/harbor/harbor.yml")
EXTERNAL = "external_database: {harbor: {host: %s, port: %s, db_name: %s}}"
NAMES = {
    "db.example.com": {"192.0.2.1", "2001:db8::1"},
    "db": {"192.0.2.1"},
    "192.0.2.1": {"192.0.2.1"},
    "elsewhere": {"192.0.2.9"},
    "localhost": {"here"},
    "127.0.0.1": {"here"},
    "192.0.2.7": {"here"},
    "": {"here"},
    "/run/postgresql": {"here"},
    "minio": {"192.0.2.3"},
    "s3.example.com": {"192.0.2.3"},
}


def resolve(host: str) -> set[str]:
    return NAMES.get(host, set())


# Databases


@pytest.mark.parametrize(
    ("named", "dsn", "same"),
    [
        (("db", 5432, "registry"), {"host": "db", "dbname": "registry"}, True),
        (("db", '"5432"', "registry"), {"host": "DB", "port": "5432", "dbname": "registry"}, True),
        (("db", 5432, "registry"), {"host": "db.example.com", "dbname": "registry"}, True),
        (("db", 5432, "registry"), {"host": "x", "hostaddr": "192.0.2.1", "dbname": "registry"}, True),
        (("db", 5432, "registry"), {"host": "a,db", "dbname": "registry"}, True),
        (("db", 5433, "registry"), {"host": "a,db", "port": "5432,5433", "dbname": "registry"}, True),
        (("192.0.2.7", 5432, "registry"), {"dbname": "registry"}, True),
        (("192.0.2.7", 5432, "registry"), {"host": "/run/postgresql", "dbname": "registry"}, True),
        (("localhost", 5432, "harbor"), {"host": "127.0.0.1", "user": "harbor"}, True),
        (("unknown", 5432, "registry"), {"host": "unknown", "dbname": "registry"}, True),
        (("unknown", 5432, "registry"), {"host": "nobody-knows", "dbname": "registry"}, False),
        (("db", 5432, "registry"), {"host": "elsewhere", "dbname": "registry"}, False),
        (("db", 5433, "registry"), {"host": "db", "dbname": "registry"}, False),
        (("db", 5433, "registry"), {"host": "a,db", "port": "5433,5432", "dbname": "registry"}, False),
        (("db", 5432, "harbor"), {"host": "db", "dbname": "registry"}, False),
        (("db", 5432, "registry"), {"service": "harbor"}, False),
    ],
)
def test_a_database_by_its_place(named: tuple[str, object, str], dsn: Mapping[str, str], same: bool) -> None:
    text = f"hostname: h\n{EXTERNAL % named}\n"
    database = parse_installation(text.encode(), YML).database
    assert database is not None
    assert places.is_at(database, dsn, resolve) is same


def test_a_container_by_the_name_that_other_containers_use() -> None:
    reached = Target({"host": "172.18.0.3", "user": "postgres", "dbname": "registry"})
    named = HarborDatabase("my-db", 5432, "registry", "harbor", None, "disable")
    assert servers.Way(reached, "my-db").leads_to(named)
    assert not servers.Way(reached, "their-db").leads_to(named)
    assert not servers.Way(reached, "my-db").leads_to(replace(named, name="harbor"))


ONE = ServerIdentity("7001", 16384, "1764380000.1", standby=False)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (ServerIdentity("7001", 16384, "1764380000.1", standby=False), True),
        (ServerIdentity("7001", 16384, "1764399999.9", standby=True), True),
        (ServerIdentity("7001", 16384, "1764399999.9", standby=False), False),
        (ServerIdentity("7001", 16385, "1764380000.1", standby=False), False),
        (ServerIdentity("7002", 16384, "1764380000.1", standby=False), False),
    ],
    ids=["another way to it", "its standby", "promoted or copied", "another database", "another cluster"],
)
def test_a_database_by_what_it_says_of_itself(other: ServerIdentity, same: bool) -> None:
    assert servers.same(ONE, other) is same
    assert servers.same(other, ONE) is same


@pytest.mark.parametrize("host", ["", "/run/postgresql", "127.0.0.1", "::1", "127.1.2.3", "localhost"])
def test_this_machine_s_addresses(host: str) -> None:
    assert servers.addresses(host) == servers.addresses("host.docker.internal")


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "no-such-host.invalid"])
def test_addresses_of_others(host: str) -> None:
    assert servers.addresses(host).isdisjoint(servers.addresses("localhost"))


# Images


def images(harbor_yml: str, blobs: config.FilesystemBlobs | config.BucketBlobs | None) -> Drift | None:
    found = parse_installation(f"hostname: h\n{harbor_yml}\n".encode(), YML)
    bucket = storage_service.bucket(found.service, YML) if found.storage == "s3" else None
    return places.images(found, bucket, blobs, lambda one, other: one == other, resolve)


def directory(path: str) -> config.FilesystemBlobs:
    return config.FilesystemBlobs(path=Path(path))


def bucket(name: str, root: str = "", endpoint: str | None = None) -> config.BucketBlobs:
    return config.BucketBlobs(kind="s3", bucket=name, root=root, endpoint=endpoint)


S3 = "storage_service: {s3: {bucket: images, rootdirectory: /harbor, regionendpoint: %s}}"
AMAZON = "storage_service: {s3: {bucket: images, region: eu-central-1}}"
OSS = "storage_service: {oss: {bucket: images}}"


@pytest.mark.parametrize(
    ("harbor_yml", "blobs"),
    [
        ("", directory("/data/registry")),
        ("data_volume: /srv/harbor", directory("/srv/harbor/registry")),
        ("data_volume: ./data", directory("/opt/harbor/data/registry")),
        ("storage_service: {azure: }", directory("/data/registry")),
        ("storage_service: {filesystem: {rootdirectory: /storage/x}}", directory("/data/registry/x")),
        ("storage_service: {filesystem: {maxthreads: 9}, s3: {bucket: b}}", directory("/data/registry")),
        (S3 % "http://minio:9000", bucket("images", "harbor", "http://minio:9000")),
        (S3 % "http://minio:9000", bucket("images", "harbor", "https://s3.example.com:9000")),
        (S3 % "minio", bucket("images", "harbor", "https://minio")),
        (AMAZON, bucket("images")),
        (AMAZON, bucket("images", endpoint="https://s3.eu-central-1.amazonaws.com")),
        (OSS, bucket("images", endpoint="https://oss.example.com")),
        (OSS, None),
        ("storage_service: {gcs: {bucket: images}}", bucket("images", endpoint="https://storage.example")),
        ("storage_service: {azure: {container: images}}", None),
    ],
)
def test_images_where_harbor_yml_has_them(
    harbor_yml: str, blobs: config.FilesystemBlobs | config.BucketBlobs | None
) -> None:
    assert images(harbor_yml, blobs) is None


@pytest.mark.parametrize(
    ("harbor_yml", "blobs", "place"),
    [
        ("data_volume: /srv/harbor", directory("/data/registry"), "/srv/harbor/registry"),
        ("", directory("/data"), "/data/registry"),
        ("", None, "/data/registry"),
        ("", bucket("images"), "/data/registry"),
        (S3 % "http://minio:9000", directory("/data/registry"), "s3://images/harbor at http://minio:9000"),
        (S3 % "http://minio:9000", None, "s3://images/harbor at http://minio:9000"),
        (
            S3 % "http://minio:9000",
            bucket("images", "", "http://minio:9000"),
            "s3://images/harbor at http://minio:9000",
        ),
        (
            S3 % "http://minio:9000",
            bucket("images", "harbor", "http://minio:9001"),
            "s3://images/harbor at http://minio:9000",
        ),
        (
            S3 % "http://elsewhere:9000",
            bucket("images", "harbor", "http://minio:9000"),
            "s3://images/harbor at http://elsewhere:9000",
        ),
        (AMAZON, bucket("images", endpoint="http://minio:9000"), "s3://images"),
        (AMAZON, bucket("others"), "s3://images"),
        (OSS, bucket("others", endpoint="https://oss.example.com"), "oss://images"),
        (OSS, directory("/data/registry"), "oss://images"),
    ],
)
def test_images_that_are_elsewhere(
    harbor_yml: str, blobs: config.FilesystemBlobs | config.BucketBlobs | None, place: str
) -> None:
    found = images(harbor_yml, blobs)
    assert found is not None
    assert found.source == f"blobs:{place}"
    assert f"the images are in {place}, and " in found.said
    assert f'dropped = ["blobs:{place}"] in [site]' in found.hint
