"""harbor.yml: what drkit reads out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit.errors import ConfigError
from drkit.harbor.installation import HarborDatabase, Installation, parse_installation, read_installation
from drkit.logs import redact

YML = Path("/opt/harbor/harbor.yml")

BUNDLED = b"""
hostname: registry.example.com
http:
  port: 80
https:
  port: 443
  certificate: /etc/ssl/harbor/registry.crt
  private_key: /etc/ssl/harbor/registry.key
harbor_admin_password: Harbor12345
database:
  password: root123
  max_idle_conns: 100
data_volume: /srv/harbor
_version: 2.15.0
"""

EXTERNAL = b"""
hostname: registry.example.com
data_volume: /data
storage_service:
  s3:
    bucket: images
    region: eu-central-1
external_database:
  harbor:
    host: db.example.com
    port: 5433
    db_name: harbor
    username: harbor_owner
    password: pa55-of-the-database
    ssl_mode: verify-full
"""


def test_an_installation_with_its_own_database() -> None:
    assert parse_installation(BUNDLED, YML) == Installation(
        harbor_yml=YML,
        hostname="registry.example.com",
        data_volume=Path("/srv/harbor"),
        certificate=Path("/etc/ssl/harbor/registry.crt"),
        private_key=Path("/etc/ssl/harbor/registry.key"),
        database=None,
        storage="filesystem",
        root_directory=Path("/srv/harbor/registry"),
        own_database_password="root123",
    )
    assert parse_installation(BUNDLED, YML).secret_directory == Path("/srv/harbor/secret")


def test_an_external_database_and_a_bucket() -> None:
    found = parse_installation(EXTERNAL, YML)
    assert found.database == HarborDatabase(
        host="db.example.com",
        port=5433,
        name="harbor",
        user="harbor_owner",
        password="pa55-of-the-database",
        ssl_mode="verify-full",
    )
    assert (found.storage, found.certificate, found.private_key) == ("s3", None, None)


def test_the_database_password_is_a_secret_from_then_on() -> None:
    parse_installation(EXTERNAL, YML)
    assert redact("login with pa55-of-the-database failed") == "login with *** failed"


def test_what_is_left_out_has_harbors_own_defaults() -> None:
    found = parse_installation(b"hostname: h\nexternal_database: {harbor: {host: db}}\n", YML)
    assert found.data_volume == Path("/data")
    assert found.database == HarborDatabase("db", 5432, "registry", "postgres", None, "disable")


@pytest.mark.parametrize(
    "text",
    [
        b"hostname: h\nhttps:\nexternal_database:\nstorage_service:\ndata_volume:\n",
        b"hostname: h\nhttps: []\nexternal_database: {harbor: }\nstorage_service: none\n",
        b"hostname: h\nexternal_database: {harbor: {host: ''}}\n",
    ],
)
def test_sections_that_are_empty_or_something_else(text: bytes) -> None:
    found = parse_installation(text, YML)
    assert (found.database, found.certificate, found.storage, found.data_volume) == (
        None,
        None,
        "filesystem",
        Path("/data"),
    )


@pytest.mark.parametrize(
    ("services", "storage"),
    [
        ("{s3: {}, filesystem: {}}", "filesystem"),
        ("{s3: {bucket: b}, filesystem: }", "s3"),
        ("{s3: {bucket: b}, filesystem: {maxthreads: 100}}", "filesystem"),
        ("{oss: {bucket: b}, gcs: {bucket: b}}", "gcs"),
        ("{ca_bundle: /etc/ca.crt, azure: }", "filesystem"),
        ("{ca_bundle: /etc/ca.crt}", "filesystem"),
    ],
)
def test_the_storage_that_harbor_would_pick(services: str, storage: str) -> None:
    text = f"hostname: h\nstorage_service: {services}\n"
    assert parse_installation(text.encode(), YML).storage == storage


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "/opt/harbor/harbor.yml is not a harbor.yml: it has no hostname"),
        (b"[]", "/opt/harbor/harbor.yml is not a harbor.yml: it has no hostname"),
        (b"version: '2'\nservices: {}", "/opt/harbor/harbor.yml is not a harbor.yml: it has no hostname"),
        (b"hostname:\n", "/opt/harbor/harbor.yml is not a harbor.yml: it has no hostname"),
        (b"hostname: [", "/opt/harbor/harbor.yml is not YAML: while parsing a flow node"),
        (b"\xff\xfe\xff", "/opt/harbor/harbor.yml is not YAML: "),
        (
            b"hostname: h\nexternal_database: {harbor: {host: db, port: five}}",
            '/opt/harbor/harbor.yml: the port of external_database is "five"',
        ),
    ],
)
def test_what_is_no_harbor_yml(text: bytes, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_installation(text, YML)
    assert caught.value.message.startswith(sentence)
    assert caught.value.hint


def test_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "harbor.yml"
    path.write_bytes(BUNDLED)
    assert read_installation(path) == parse_installation(BUNDLED, path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_installation(tmp_path / "harbor.yml")
    assert caught.value.message == f"cannot read {tmp_path}/harbor.yml: No such file or directory"
    assert caught.value.hint == "name Harbor's harbor.yml"


def test_files_as_prepare_takes_them() -> None:
    text = b"""
hostname: registry.example.com
https: {certificate: etc/ssl/a.crt, private_key: //etc/ssl/a.key}
internal_tls: {enabled: true, dir: etc/harbor/tls}
storage_service: {ca_bundle: etc/ssl/ca.crt, filesystem: {rootdirectory: /storage/images}}
data_volume: ./data
"""
    found = parse_installation(text, YML)
    assert (found.certificate, found.private_key) == (Path("/etc/ssl/a.crt"), Path("/etc/ssl/a.key"))
    assert [str(each.path) for each in found.referred] == ["/etc/harbor/tls", "/etc/ssl/ca.crt"]
    assert found.data_volume == Path("/opt/harbor/data")
    assert found.root_directory == Path("/opt/harbor/data/registry/images")


@pytest.mark.parametrize(
    ("says", "host"),
    [
        ("hostname: fd00:10::5", "fd00:10::5"),
        ('hostname: "[fd00:10::5]:8443"', "fd00:10::5"),
        ("hostname: registry.example.com:8443", "registry.example.com"),
        ("hostname: h\nexternal_url: https://[fd00::1]:8443", "fd00::1"),
        ("hostname: h\nexternal_url: registry.example.com:8443", "registry.example.com"),
        ("hostname: 10.0.0.1", "10.0.0.1"),
    ],
)
def test_the_host_that_clients_ask_for(says: str, host: str) -> None:
    assert parse_installation(says.encode(), YML).public_host == host


def test_numbers_and_databases_of_notary() -> None:
    text = b"""
hostname: h
external_database:
  harbor: {host: db, port: "5433", password: 12345}
  notary_signer: {host: db, port: 5433, db_name: signer, username: notary, password: other}
  notary_server: {host: db, port: 5433}
"""
    found = parse_installation(text, YML)
    assert found.database == HarborDatabase("db", 5433, "registry", "postgres", "12345", "disable")
    assert found.notary == (
        HarborDatabase("db", 5433, "signer", "notary", "other", "disable"),
        HarborDatabase("db", 5433, "notaryserver", "postgres", None, "disable"),
    )
