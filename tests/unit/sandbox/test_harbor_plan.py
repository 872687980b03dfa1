"""What Harbor is started with."""

from __future__ import annotations

import json
from pathlib import Path

from drkit.harbor.installation import Installation, parse_installation
from drkit.sandbox.harbor import plan
from drkit.sandbox.harbor.choice import Images
from drkit.sandbox.harbor.plan import HARBOR, Container, Keys, Made, Plan

HARBOR_YML = b"""
hostname: registry.example.com
external_url: https://registry.example.com:8443
data_volume: /data
external_database:
  harbor: {host: db, port: 5432, db_name: harbor, username: harbor_user, password: of-production}
"""
KEYS = Keys(b"naa4JtarA1Zsc3uY", b"-----BEGIN RSA PRIVATE KEY-----", b"-----BEGIN CERTIFICATE-----")
IMAGES = Images("v2.14.0", "g/harbor-core:v2.14.0", "g/registry-photon:v2.14.0", "g/redis-photon:v2.14.0")
MADE = Made("password-for-registry", "$2b$04$hash", "0123456789abcdef", "0123456789abcdef" * 2)


def installation(text: bytes = HARBOR_YML) -> Installation:
    return parse_installation(text, Path("/opt/harbor/harbor.yml"))


def planned() -> Plan:
    return plan.plan(installation(), "restored", KEYS, IMAGES, MADE)


def files(container: Container) -> dict[str, bytes]:
    return {file.target: file.data for file in container.files}


def test_core_has_what_prepare_would_give_it() -> None:
    core = planned().core
    told = core.environment
    assert told["EXT_ENDPOINT"] == "https://registry.example.com:8443"
    assert (told["POSTGRESQL_USERNAME"], told["POSTGRESQL_DATABASE"]) == ("harbor_user", "restored")
    assert (len(told["CORE_SECRET"]), len(told["CSRF_KEY"])) == (16, 32)
    assert files(core)["/etc/core/key"] == KEYS.secret_key
    assert files(core)["/etc/core/private_key.pem"] == KEYS.token_key
    assert b"httpport = 8080" in files(core)["/etc/core/app.conf"]
    assert {file.owner for file in core.files} == {HARBOR}


def test_nothing_leads_out() -> None:
    """Every address is in the containers' own network, but for what clients call Harbor."""
    for name, value in planned().core.environment.items():
        if "://" in value and name != "EXT_ENDPOINT":
            assert value.split("://")[1].startswith("127.0.0.1"), name
    for name in ("POSTGRESQL_HOST",):
        assert planned().core.environment[name] == "127.0.0.1"
    settings = json.loads(files(planned().registry)["/etc/registry/config.yml"])
    assert settings["redis"]["addr"] == "127.0.0.1:6379"
    assert settings["http"]["addr"] == "127.0.0.1:5000"


def test_no_password_of_production() -> None:
    told = repr(planned().core.environment) + repr([file.data for file in planned().registry.files])
    assert "of-production" not in told


def test_the_registry_asks_core_for_a_password() -> None:
    registry = planned().registry
    settings = json.loads(files(registry)["/etc/registry/config.yml"])
    assert settings["auth"]["htpasswd"]["path"] == "/etc/registry/passwd"
    user = planned().core.environment["REGISTRY_CREDENTIAL_USERNAME"]
    assert files(registry)["/etc/registry/passwd"] == f"{user}:{MADE.registry_hash}\n".encode()
    assert files(registry)["/etc/registry/root.crt"] == KEYS.certificate
    assert registry.storage
    assert not planned().core.storage


def test_the_cache_is_empty() -> None:
    assert planned().cache.files == ()
    assert planned().cache.empty_directories == ("/var/lib/redis",)


def test_secrets_are_not_told_by_accident() -> None:
    said = repr(planned())
    for secret in (KEYS.secret_key.decode(), MADE.shared, MADE.csrf):
        assert secret not in said


def test_the_bundled_database() -> None:
    bare = installation(b"hostname: registry.example.com\nhttp: {port: 80}\n")
    found = plan.core(bare, "registry", KEYS, IMAGES, MADE).environment
    assert found["POSTGRESQL_USERNAME"] == "postgres"
    assert found["EXT_ENDPOINT"] == "http://registry.example.com"
