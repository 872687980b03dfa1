"""Accounts that a drill plants in its own copy of Harbor's database, to log in with; never in another one.

Passwords are hashed as Harbor does (src/common/utils/encrypt.go): hex of 16 bytes of PBKDF2-HMAC-SHA256,
4,096 rounds, which every version takes for a user of `password_version` sha256 and for a robot.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

from drkit.harbor import secretkey
from drkit.logs import register_secret
from drkit.tools.postgres.sessions import Session

_ROUNDS = 4_096
# An administrator by this number whose password is in the database, whatever the others log in by.
_FIRST_USER = 1
_OWN = "db_auth"
_CANDIDATES = 20
# A project with one of these may refuse a pull for good reasons.
_GUARDS = ("prevent_vul", "enable_content_trust", "enable_content_trust_cosign")


@dataclass(frozen=True)
class Account:
    """A name, as its table has it, and the password."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Remote:
    """A remote registry: its number, and the key that stands beside its encrypted secret."""

    id: int
    access_key: str


@dataclass(frozen=True)
class Planted:
    """What was planted; no `remote` where the secret key is of no use."""

    user: Account
    robot: Account
    remote: Remote | None


@dataclass(frozen=True)
class TaggedImage:
    """A tag, and the artifact that it names."""

    repository: str
    tag: str
    digest: str


def plant(session: Session, mark: str, key: bytes) -> Planted:
    """Plant an administrator, a robot that may pull, and a remote registry with an encrypted secret.

    `mark` makes their names nobody else's. Raises ToolFailed.
    """
    with session.transaction():
        return Planted(_user(session, mark), _robot(session, mark), _remote(session, mark, key))


def _user(session: Session, mark: str) -> Account:
    """A new user; where users come from elsewhere (LDAP, OIDC), the first one, with another password."""
    password, salt = _secret(), secrets.token_hex(16)
    hashed = _hashed(password, salt)
    mode = session.rows("SELECT v FROM public.properties WHERE k = 'auth_mode'")
    if mode and mode[0][0] != _OWN:
        name = session.value(
            "UPDATE public.harbor_user SET password = %s, salt = %s, password_version = 'sha256',"
            " sysadmin_flag = true, deleted = false WHERE user_id = %s RETURNING username",
            (hashed, salt, _FIRST_USER),
        )
        return Account(str(name), password)
    session.execute(
        "INSERT INTO public.harbor_user (username, email, password, realname, comment, salt, sysadmin_flag,"
        " password_version) VALUES (%s, %s, %s, 'drkit drill', 'drkit drill', %s, true, 'sha256')",
        (mark, f"{mark}@drill.invalid", hashed, salt),
    )
    return Account(mark, password)


def _robot(session: Session, mark: str) -> Account:
    """A robot of the whole system that may pull from every project."""
    password, salt = _secret(), secrets.token_hex(16)
    number = session.value(
        "INSERT INTO public.robot (name, description, project_id, expiresat, disabled, visible, secret, salt,"
        " duration) VALUES (%s, 'drkit drill', 0, -1, false, true, %s, %s, -1) RETURNING id",
        (mark, _hashed(password, salt), salt),
    )
    policy = ("/project/*", "repository", "pull", "allow")
    session.execute(
        "INSERT INTO public.permission_policy (scope, resource, action, effect) SELECT %s, %s, %s, %s"
        " WHERE NOT EXISTS (SELECT FROM public.permission_policy"
        "  WHERE (scope, resource, action, effect) = (%s, %s, %s, %s))",
        (*policy, *policy),
    )
    session.execute(
        "INSERT INTO public.role_permission (role_type, role_id, permission_policy_id)"
        " SELECT 'robotaccount', %s, min(id) FROM public.permission_policy"
        " WHERE (scope, resource, action, effect) = (%s, %s, %s, %s)",
        (number, *policy),
    )
    return Account(mark, password)


def _remote(session: Session, mark: str, key: bytes) -> Remote | None:
    try:
        encrypted = secretkey.encrypt(_secret(), key)
    except ValueError:
        return None
    number = session.value(
        "INSERT INTO public.registry (name, url, access_key, access_secret, insecure, credential_type, type,"
        " description) VALUES (%s, 'http://127.0.0.1:9', %s, %s, true, 'basic', 'docker-registry', '')"
        " RETURNING id",
        (mark, mark, encrypted),
    )
    return Remote(int(number), mark)


def pullable(session: Session) -> Iterator[TaggedImage]:
    """Some tags by chance that no rule keeps from being pulled: images, then signatures; small ones first."""
    query = (
        "SELECT repository, tag, digest FROM (SELECT r.name AS repository, t.name AS tag, a.digest, a.size,"
        " EXISTS (SELECT FROM public.artifact_accessory y WHERE y.artifact_id = a.id) AS accessory"
        " FROM public.tag t JOIN public.artifact a ON a.id = t.artifact_id"
        " JOIN public.repository r ON r.repository_id = t.repository_id"
        " JOIN public.project p ON p.project_id = r.project_id"
        " WHERE NOT p.deleted AND coalesce(p.registry_id, 0) = 0 AND NOT EXISTS (SELECT FROM"
        "  public.project_metadata m WHERE m.project_id = p.project_id AND m.name = ANY (%s)"
        "  AND m.value = 'true') ORDER BY random() LIMIT %s) AS chosen ORDER BY accessory, size"
    )
    for row in session.rows(query, (list(_GUARDS), _CANDIDATES)):
        yield TaggedImage(*row)


def _secret() -> str:
    # Harbor wants a capital letter, a small one and a digit of those that a person chooses.
    return register_secret(f"Aa1{secrets.token_urlsafe(24)}")


def _hashed(password: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), _ROUNDS, 16).hex()
