"""A site is what it claims to be: rows, files, secrets and the servers' answers agree."""

import base64
import json
import os
import stat
import subprocess
from collections.abc import Iterator

import httpx
import psycopg
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import testenv
from testenv import crypto, damage, invariants, push


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[testenv.Site]:
    root = tmp_path_factory.mktemp("site") / "site"
    yield testenv.create(root, testenv.TINY)
    testenv.destroy(root)


@pytest.fixture
def connection(site: testenv.Site) -> Iterator[psycopg.Connection]:
    with testenv.connect(site) as connection:
        yield connection


def undamaged(site: testenv.Site) -> list[str]:
    with testenv.connect(site) as connection:
        return [
            *invariants.torn_rows(connection),
            *invariants.wrong_files(connection, site.blobs),
            *invariants.wrong_manifests(connection, site.blobs),
        ]


def test_rows_files_and_manifests_agree(site: testenv.Site) -> None:
    assert undamaged(site) == []


def test_it_has_one_of_each_kind(connection: psycopg.Connection) -> None:
    expectations = {
        "SELECT count(*) FROM artifact_reference": 2,
        "SELECT count(*) FROM artifact_accessory WHERE type = 'signature.cosign'": 1,
        "SELECT count(*) FROM artifact_accessory WHERE type = 'sbom.harbor'": 1,
        "SELECT count(*) FROM tag WHERE name LIKE 'sha256-%.sig'": 1,
        "SELECT count(*) FROM blob WHERE content_type LIKE '%foreign%'": 1,
        "SELECT count(*) FROM project WHERE registry_id > 0": 1,
        "SELECT count(DISTINCT role) FROM project_member": 5,
        "SELECT count(*) FROM schema_migrations WHERE version = 170 AND NOT dirty": 1,
    }
    for query, expected in expectations.items():
        row = connection.execute(query.encode()).fetchone()
        assert row == (expected,), query
    untagged = connection.execute(
        "SELECT count(*) FROM artifact a WHERE NOT EXISTS (SELECT FROM tag WHERE artifact_id = a.id)"
        " AND NOT EXISTS (SELECT FROM artifact_reference WHERE child_id = a.id)"
        " AND NOT EXISTS (SELECT FROM artifact_accessory WHERE artifact_id = a.id)"
    ).fetchone()
    assert untagged == (1,)


def test_layers_are_shared_across_projects(connection: psycopg.Connection) -> None:
    row = connection.execute(
        "SELECT count(*) FROM (SELECT blob_id FROM project_blob GROUP BY 1 HAVING count(*) > 1) shared"
    ).fetchone()
    assert row is not None
    assert row[0] > 0


def test_every_tag_and_artifact_can_be_pulled(site: testenv.Site, connection: psycopg.Connection) -> None:
    accept = {"Accept": ", ".join(push.MANIFEST_TYPES)}
    references = connection.execute(
        "SELECT repository_name, digest, digest FROM artifact UNION ALL"
        " SELECT repository_name, name, digest FROM tag JOIN artifact a ON a.id = artifact_id"
    ).fetchall()
    assert len(references) > 30
    with httpx.Client(base_url=site.registry_url, headers=accept, trust_env=False, timeout=60) as client:
        for repository, reference, digest in references:
            answer = client.get(f"/v2/{repository}/manifests/{reference}")
            assert (answer.status_code, answer.headers.get("Docker-Content-Digest")) == (200, digest)


def test_quotas_are_the_sum_of_the_projects_blobs(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        "SELECT (u.used->>'storage')::bigint, (SELECT coalesce(sum(b.size), 0)::bigint FROM project_blob pb"
        "   JOIN blob b ON b.id = pb.blob_id WHERE pb.project_id::text = u.reference_id"
        "   AND b.content_type NOT LIKE '%foreign%') FROM quota_usage u"
    ).fetchall()
    assert rows
    assert all(used == summed for used, summed in rows)


def test_cipher_vector() -> None:
    assert crypto.decrypt("<enc-v1>6FvOrx1O9TKBdalX4gMQrrKNZ99KIyg=", "naa4JtarA1Zsc3uY") == b"secret1"


def test_encrypted_columns_hold_what_was_planted(site: testenv.Site, connection: psycopg.Connection) -> None:
    key = (site.data / "secret/keys/secretkey").read_text()
    values = connection.execute(
        "SELECT access_secret FROM registry WHERE access_secret <> ''"
        " UNION ALL SELECT secret FROM oidc_user"
        " UNION ALL SELECT v FROM properties WHERE k IN ('ldap_search_password', 'oidc_client_secret')"
    ).fetchall()
    assert len(values) == 3 + 2 + 2
    planted = set(site.planted.values())
    assert all(crypto.decrypt(value, key).decode() in planted for (value,) in values)
    for (token,) in connection.execute("SELECT token FROM oidc_user"):
        assert json.loads(crypto.decrypt(token, key))["refresh_token"] in planted


def test_passwords_are_hashed_as_harbor_does(site: testenv.Site, connection: psycopg.Connection) -> None:
    rows = connection.execute("SELECT username, password, salt, password_version FROM harbor_user").fetchall()
    for name, hashed, salt, version in rows:
        secret = "administrator password" if name == "admin" else f"password of {name}"
        assert crypto.password_hash(site.planted[secret], salt, version) == hashed


def test_secret_files_are_as_harbor_leaves_them(site: testenv.Site) -> None:
    secret_key = site.data / "secret/keys/secretkey"
    assert len(secret_key.read_bytes()) == 16
    secrets = [
        secret_key,
        site.harbor_yml,
        site.password_file,
        site.tls / "server.key",
        site.root / "testenv.json",
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    token_key = (site.data / "secret/core/private_key.pem").read_bytes()
    assert token_key.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    if os.getuid() == 0:
        assert {secret_key.stat().st_uid, site.blobs.stat().st_uid} == {10_000}


def test_certificates_pair_with_their_keys(site: testenv.Site) -> None:
    secret = site.data / "secret"
    for certificate, key in (
        (site.tls / "server.crt", site.tls / "server.key"),
        (secret / "cert/server.crt", secret / "cert/server.key"),
        (secret / "registry/root.crt", secret / "core/private_key.pem"),
    ):
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        assert chain[0].public_key() == private.public_key()
    chain = x509.load_pem_x509_certificates((site.tls / "server.crt").read_bytes())
    chain[0].verify_directly_issued_by(chain[1])
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "registry.example.test" in names.get_values_for_type(x509.DNSName)


def test_the_signature_verifies(site: testenv.Site, connection: psycopg.Connection) -> None:
    row = connection.execute(
        "SELECT subject_artifact_repo, subject_artifact_digest FROM artifact_accessory WHERE type LIKE 'sig%'"
    ).fetchone()
    assert row is not None
    image = f"{site.registry_url.removeprefix('http://')}/{row[0]}@{row[1]}"
    done = subprocess.run(
        ["cosign", "verify", "--key", site.cosign / "cosign.pub", "--insecure-ignore-tlog",
         "--allow-http-registry", image],
        env={"PATH": "/usr/bin:/bin", "HOME": str(site.root)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_harbor_yml_leads_to_everything(site: testenv.Site) -> None:
    settings = yaml.safe_load(site.harbor_yml.read_text())
    assert settings["data_volume"] == str(site.data)
    database = settings["external_database"]["harbor"]
    psycopg.connect(
        host=database["host"],
        port=database["port"],
        dbname=database["db_name"],
        user=database["username"],
        password=database["password"],
    ).close()


def test_database_and_roles_have_what_a_plain_dump_loses(connection: psycopg.Connection) -> None:
    row = connection.execute(
        "SELECT pg_get_userbyid(datdba), datcollate, (SELECT count(*)::int FROM pg_db_role_setting"
        " WHERE setdatabase = d.oid) FROM pg_database d WHERE datname = 'registry'"
    ).fetchone()
    assert row == ("harbor", "C.UTF-8", 1)
    assert connection.execute(
        "SELECT rolconfig FROM pg_roles"
        " WHERE rolname = 'grafana' AND pg_has_role(oid, 'harbor_readers', 'member')"
    ).fetchone() == (["statement_timeout=15s"],)


def test_planted_secrets_are_not_in_the_open_where_harbor_hides_them(
    site: testenv.Site, connection: psycopg.Connection
) -> None:
    hidden = ("harbor_user", "oidc_user", "robot", "registry", "properties")
    text = "\n".join(
        str(row) for table in hidden for row in connection.execute(f"SELECT * FROM {table}".encode())
    )
    assert len(site.planted) > 50
    assert all(len(value) >= 16 for value in site.planted.values())
    assert [name for name, value in site.planted.items() if value in text] == []
    assert base64.b64encode(site.planted["secret key"].encode()).decode() not in text


def test_what_is_pushed_signed_and_grown_later_agrees_too(site: testenv.Site) -> None:
    with testenv.connect(site) as connection:
        before = connection.execute("SELECT sum(size)::bigint FROM blob").fetchone()
    digest = testenv.push_image(site, "new-project", "nested/name", "v1", [b"one", b"two"])
    assert testenv.push_image(site, "new-project", "nested/name", "v1", [b"one", b"two"]) == digest
    assert len(damage.layers_of(site, digest)) == 2
    testenv.push_image(site, "library", "untagged", None)
    testenv.sign_image(site, "new-project", "nested/name", digest)
    testenv.grow(site, 0.25, seed=1)
    testenv.grow(site, 0.05, seed=2)
    assert undamaged(site) == []
    with testenv.connect(site) as connection:
        after = connection.execute("SELECT sum(size)::bigint FROM blob").fetchone()
    assert before is not None
    assert after is not None
    assert 1.2 < after[0] / before[0] < 1.5


def test_damage_is_seen(site: testenv.Site) -> None:
    """The invariants can fail: each kind of damage turns them red."""
    digest = testenv.push_image(site, "library", "to-be-damaged", "v1", [b"1", b"2", b"3", b"4"])
    first, second, third, fourth = damage.layers_of(site, digest)
    damage.remove_blob(site, first)
    damage.truncate_blob(site, second)
    damage.flip_byte(site, third, at=20)
    damage.forget_blob_row(site, fourth)
    orphan = damage.orphan_blob(site)
    found = undamaged(site)
    for expected in (
        f"missing: {first}", f"size: {second}", f"hash: {third}", f"unknown: {orphan}",
        f"artifact_blob names a blob without a row: {fourth}",
    ):  # fmt: skip
        assert expected in found
