"""Users, groups, projects and their members."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from testenv import plan
from testenv.filling import AWKWARD

if TYPE_CHECKING:
    from testenv.filling import BucketRestore


def fill(filling: BucketRestore, users: int, projects: int, registry_id: int) -> None:
    """Fill everything that exists before the first image is pushed."""
    user_ids = [_administrator(filling), *(_user(filling, number) for number in range(2, users + 1))]
    _oidc_users(filling, user_ids[-max(2, users // 10) :])
    group_ids = [
        filling.insert(
            "user_group",
            group_name=name,
            group_type=1,
            ldap_group_dn=f"cn={name},ou=groups,dc=example,dc=test",
            creation_time=filling.past(700),
        )
        for name in ("developers", "Prüfer & Auditoren")
    ]
    for number, name in enumerate(plan.project_names(projects)):
        project(filling, name, user_ids, group_ids, number, _registry_of(number, name, registry_id))


def _registry_of(number: int, name: str, proxied: int) -> int | None:
    """`library` is older than the column; what Harbor makes itself has a 0 in it."""
    if name == plan.PROXY_PROJECT:
        return proxied
    return 0 if number else None


def project(
    filling: BucketRestore,
    name: str,
    user_ids: list[int],
    group_ids: list[int],
    number: int,
    registry_id: int | None = 0,
) -> int:
    """A project with its metadata, members and quota; a registry_id of 0 is how Harbor writes none."""
    made = filling.past(600)
    project_id = filling.insert(
        "project",
        "project_id",
        owner_id=user_ids[number % len(user_ids)],
        name=name,
        creation_time=made,
        update_time=made,
        registry_id=registry_id,
    )
    metadata = {"public": "true" if number % 3 == 0 else "false", "auto_scan": "true", "severity": "high"}
    if number % 2:
        metadata["retention_id"] = str(number)
    for key, value in metadata.items():
        filling.insert("project_metadata", project_id=project_id, name=key, value=value, creation_time=made)
    for role, user_id in enumerate(user_ids[number % 3 :][:5], 1):
        filling.insert("project_member", project_id=project_id, entity_id=user_id, entity_type="u", role=role)
    for group_id in group_ids[: number % 3]:
        filling.insert("project_member", project_id=project_id, entity_id=group_id, entity_type="g", role=3)
    limit = -1 if number % 2 else 500 * 2**30
    filling.insert("quota", reference="project", reference_id=str(project_id), hard={"storage": limit})
    filling.insert("quota_usage", reference="project", reference_id=str(project_id), used={"storage": 0})
    if number % 4 == 1:
        items = [{"cve_id": "CVE-2025-0001"}, {"cve_id": "CVE-2024-3094"}]
        filling.insert("cve_allowlist", project_id=project_id, items=json.dumps(items), expires_at=None)
    filling.insert(
        "harbor_label",
        name=f"reviewed {number}",
        description=AWKWARD[number % len(AWKWARD)],
        color="#1D5100",
        level="u",
        scope="p",
        project_id=project_id,
    )
    return project_id


def _administrator(filling: BucketRestore) -> int:
    return _insert_user(filling, "admin", "system admin", "administrator password", administrator=True)


def _user(filling: BucketRestore, number: int) -> int:
    return _insert_user(
        filling, f"user{number:03}", AWKWARD[number % len(AWKWARD)] or "x", f"password of user{number:03}"
    )


def _insert_user(
    filling: BucketRestore, name: str, realname: str, secret: str, *, administrator: bool = False
) -> int:
    password = filling.planted.get(secret) or filling.secret(secret)
    # Rows from before Harbor 1.10 still carry SHA-1.
    version = "sha1" if filling.random.random() < 0.2 else "sha256"
    hashed, salt = filling.salted(password, version)
    return filling.insert(
        "harbor_user",
        "user_id",
        username=name,
        email=f"{name}@example.test",
        password=hashed,
        salt=salt,
        password_version=version,
        realname=realname,
        comment=None if administrator else "imported",
        sysadmin_flag=administrator,
        deleted=filling.random.random() < 0.05 and not administrator,
        creation_time=filling.past(800),
    )


def _oidc_users(filling: BucketRestore, user_ids: list[int]) -> None:
    for user_id in user_ids:
        refresh = filling.secret(f"OIDC refresh token of user {user_id}", 40)
        token = {
            "access_token": filling.secret(f"OIDC access token of user {user_id}", 40),
            "token_type": "Bearer",
            "refresh_token": refresh,
            "expiry": "2026-01-01T00:00:00Z",
            "id_token": "header.payload.signature",
        }
        filling.insert(
            "oidc_user",
            user_id=user_id,
            secret=filling.encrypted(filling.secret(f"OIDC CLI secret of user {user_id}", 32)),
            subiss=f"subject-{user_id}https://sso.example.test/realms/main",
            token=filling.encrypted(json.dumps(token)),
        )
