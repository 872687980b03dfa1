"""What Harbor is started with."""

from __future__ import annotations

import json
from pathlib import Path

from drkit.harbor.installation import Installation, parse_installation
from drkit.sandbox.harbor.plan import HARBOR, Keys, Made, Part, Places, Plan, Planner

HARBOR_YML = b"""
hostname: registry.example.com
external_url: https://registry.example.com:8443
data_volume: /data
external_database:
  harbor: {host: db, port: 5432, db_name: harbor, username: harbor_user, password: of-production}
"""
KEYS = Keys(b"naa4JtarA1Zsc3uY", b"-----BEGIN RSA PRIVATE KEY-----", b"-----BEGIN CERTIFICATE-----")
MADE = Made("password-for-registry", "$2b$04$hash", "0123456789abcdef", "0123456789abcdef" * 2)


def installation(text: bytes = HARBOR_YML) -> Installation:
    return parse_installation(text, Path("/opt/harbor/harbor.yml"))


def planned(*, jobs: bool = True, places: Places | None = None) -> Plan:
    return Planner(installation(), "restored", KEYS, MADE, places or Places(), jobs).plan()


def files(part: Part) -> dict[str, bytes]:
    return {file.target: file.data for file in part.files}


def parts(plan: Plan) -> list[Part]:
    assert plan.jobs is not None
    return [plan.cache, plan.registry, plan.core, plan.jobs]


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
    """Every address is in the sandbox's own network, but for what clients call Harbor."""
    told = [pair for part in parts(planned()) for pair in part.environment.items()]
    for name, value in told:
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
    found = Planner(bare, "registry", KEYS, MADE, Places(), False).core(KEYS).environment
    assert found["POSTGRESQL_USERNAME"] == "postgres"
    assert found["EXT_ENDPOINT"] == "http://registry.example.com"


def test_jobservice_and_core_share_their_secrets_and_find_each_other() -> None:
    plan = planned()
    assert plan.jobs is not None
    settings = json.loads(files(plan.jobs)["/etc/jobservice/config.yml"])
    assert plan.core.environment["JOBSERVICE_URL"] == f"http://127.0.0.1:{settings['port']}"
    assert settings["worker_pool"]["redis_pool"]["redis_url"] == "redis://127.0.0.1:6379/2"
    for name in ("CORE_SECRET", "JOBSERVICE_SECRET", "CORE_URL", "REGISTRY_CREDENTIAL_PASSWORD"):
        assert plan.jobs.environment[name] == plan.core.environment[name]


def test_without_jobservice_core_is_told_of_nobody() -> None:
    plan = planned(jobs=False)
    assert plan.jobs is None
    assert plan.core.environment["JOBSERVICE_URL"] == plan.core.environment["PORTAL_URL"]


def test_programs_of_this_machine_have_all_their_files_in_the_sandbox(tmp_path: Path) -> None:
    plan = planned(places=Places.below(tmp_path))
    told = [file.target for part in parts(plan) for file in part.files]
    told += [place for part in parts(plan) for place in part.empty_directories]
    told += [plan.core.environment[name] for name in ("CONFIG_PATH", "KEY_PATH", "TOKEN_PRIVATE_KEY_PATH")]
    settings = json.loads(next(data for name, data in files(plan.registry).items() if "config" in name))
    told += [
        settings["storage"]["filesystem"]["rootdirectory"],
        settings["auth"]["htpasswd"]["path"],
    ]
    assert [place for place in told if not Path(place).is_relative_to(tmp_path)] == []
