"""Endpoints, robots, settings and policies: what an administrator has set up over the years."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from testenv.filling import AWKWARD

if TYPE_CHECKING:
    from testenv.filling import BucketRestore

SCANNER = "Trivy"


def fill_endpoints(filling: BucketRestore) -> int:
    """Remote registries with their encrypted credentials; returns the one that a proxy cache reads from."""
    ids = [
        filling.insert(
            "registry",
            name=name,
            url=f"https://{name}.example.test",
            access_key=f"robot${name}",
            access_secret=filling.encrypted(filling.secret(f"access secret of endpoint {name}", 24)),
            credential_type="basic",
            type=kind,
            description=AWKWARD[number % len(AWKWARD)],
            health="healthy",
            creation_time=filling.past(500),
        )
        for number, (name, kind) in enumerate(
            [("hub", "docker-hub"), ("standby", "harbor"), ("quay", "quay")]
        )
    ]
    # One that needs no password: an empty value is not encrypted.
    filling.insert("registry", name="public-mirror", url="https://mirror.example.test", access_secret="")
    for name, target in (("to standby", ids[1]), ("from quay's archive", ids[2])):
        outgoing = name.startswith("to")
        filling.insert(
            "replication_policy",
            name=name,
            dest_registry_id=target if outgoing else 0,
            src_registry_id=0 if outgoing else target,
            enabled=outgoing,
            trigger={"type": "scheduled", "trigger_settings": {"cron": "0 0 3 * * *"}},
            filters=[{"type": "name", "value": "library/**"}, {"type": "tag", "value": "v*"}],
            dest_namespace="mirror",
            override=True,
            dest_namespace_replace_count=-1,
            speed_kb=0,
            copy_by_chunk=False,
        )
    return ids[0]


def fill_scanners(filling: BucketRestore) -> str:
    """Scanners; returns the default one's registration. Up to 2.14.3 credentials are not encrypted."""
    registration = _uuid(filling)
    for name, default in ((SCANNER, True), ("Other scanner", False)):
        filling.insert(
            "scanner_registration",
            uuid=registration if default else _uuid(filling),
            url=f"http://{name.lower().replace(' ', '-')}:8080",
            name=name,
            description=f"The {name} adapter",
            auth="" if default else "Basic",
            access_cred="" if default else f"scan:{filling.secret('scanner credential (kept in the clear)')}",
            is_default=default,
            immutable=default,
            use_internal_addr=default,
        )
    return registration


def fill_settings(filling: BucketRestore) -> None:
    """The settings of the system, some of them secret and encrypted."""
    settings = {
        "auth_mode": "oidc_auth",
        "self_registration": "false",
        "project_creation_restriction": "adminonly",
        "read_only": "false",
        "ldap_url": "ldaps://ldap.example.test",
        "ldap_search_dn": "cn=reader,dc=example,dc=test",
        "ldap_search_password": filling.encrypted(filling.secret("LDAP search password")),
        "oidc_endpoint": "https://sso.example.test/realms/main",
        "oidc_client_id": "harbor",
        "oidc_client_secret": filling.encrypted(filling.secret("OIDC client secret", 36)),
        "banner_message": '{"message":"Wartung am Freitag, 22\u202f Uhr","type":"warning","closable":true}',
        "robot_name_prefix": "robot$",
        "robot_token_duration": "30",
        "token_expiration": "30",
        "scan_all_policy": '{"type":"daily","parameter":{"daily_time":0}}',
    }
    for key, value in settings.items():
        filling.insert("properties", k=key, v=value)


def fill_policies(filling: BucketRestore, project_ids: list[int]) -> None:
    """Robots and the policies of each project, and the schedules that run them."""
    for place, project_id in enumerate(project_ids):
        _robot(filling, f"robot$project-{project_id}+ci", project_id, place)
        _retention(filling, project_id)
        pattern = {
            "id": 0, "template": "immutable_template", "action": "immutable", "disabled": place % 3 == 2,
            "tag_selectors": [_selector("matches", "stable-*")],
            "scope_selectors": {"repository": [_selector("repoMatches", "**")]},
        }  # fmt: skip
        filling.insert(
            "immutable_tag_rule", project_id=project_id, tag_filter=pattern, disabled=place % 3 == 2
        )
        header = f"Bearer {filling.secret(f'webhook token of project {project_id}', 30)}"
        target = {"type": "http", "address": "https://hooks.example.test/harbor", "auth_header": header}
        filling.insert(
            "notification_policy",
            name=f"chat {place}",
            project_id=project_id,
            description=AWKWARD[place % len(AWKWARD)],
            targets=[target],
            event_types=["PUSH_ARTIFACT", "SCANNING_COMPLETED"],
            creator="admin",
        )
    _robot(filling, "robot$pull-everywhere", 0, 1)
    _schedules(filling)
    for name in ("replication", "RETENTION", "SCAN_DATA_EXPORT"):
        filling.insert("job_queue_status", job_type=name, paused=name == "SCAN_DATA_EXPORT")


def _robot(filling: BucketRestore, name: str, project_id: int, number: int) -> None:
    hashed, salt = filling.salted(filling.secret(f"secret of {name}", 32))
    robot_id = filling.insert(
        "robot",
        name=name,
        description=AWKWARD[number % len(AWKWARD)],
        project_id=project_id,
        expiresat=-1 if number % 2 else int(filling.now.timestamp()) + 86_400 * 30,
        duration=-1 if number % 2 else 30,
        disabled=number % 5 == 4,
        secret=hashed,
        salt=salt,
        creator_ref=1,
        creator_type="local",
        creation_time=filling.past(400),
    )
    scope = f"/project/{project_id or '*'}"
    for action in ("pull", "push"):
        policy_id = filling.insert(
            "permission_policy", scope=scope, resource="repository", action=action, effect="allow"
        )
        filling.insert(
            "role_permission", role_type="robotaccount", role_id=robot_id, permission_policy_id=policy_id
        )


def _retention(filling: BucketRestore, project_id: int) -> None:
    rule = {
        "id": 1, "priority": 1, "disabled": False, "action": "retain", "template": "latestPushedK",
        "params": {"latestPushedK": 10},
        "tag_selectors": [{**_selector("matches", "**"), "extras": '{"untagged":true}'}],
        "scope_selectors": {"repository": [_selector("repoMatches", "**")]},
    }  # fmt: skip
    policy = {
        "id": project_id, "algorithm": "or", "rules": [rule],
        "trigger": {"kind": "Schedule", "references": {"job_id": 1}, "settings": {"cron": "0 0 0 * * 0"}},
        "scope": {"level": "project", "ref": project_id},
    }  # fmt: skip
    filling.insert(
        "retention_policy",
        scope_level="project",
        scope_reference=project_id,
        trigger_kind="Schedule",
        data=policy,
        create_time=filling.past(300),
        update_time=filling.past(20),
    )


def _selector(decoration: str, pattern: str) -> dict[str, str]:
    return {"kind": "doublestar", "decoration": decoration, "pattern": pattern}


def _schedules(filling: BucketRestore) -> None:
    for number, (vendor, cron) in enumerate(
        [
            ("GARBAGE_COLLECTION", "0 0 1 * * 6"),
            ("SCAN_ALL", "0 0 0 * * *"),
            ("PURGE_AUDIT_LOG", "0 0 4 * * *"),
        ],
        1,
    ):
        filling.insert(
            "schedule",
            vendor_type=vendor,
            vendor_id=-number,
            cron=cron,
            cron_type="Custom",
            callback_func_name=f"{vendor}_CALLBACK",
            callback_func_param={"delete_untagged": True, "dry_run": False},
            extra_attrs={"workers": 1},
            revision=number,
        )


def _uuid(filling: BucketRestore) -> str:
    return str(uuid.UUID(bytes=filling.random.randbytes(16), version=4))
