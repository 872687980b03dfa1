"""A stand-in for Harbor's core, for containers: it speaks the documented calls that a drill makes, no others.

It stands alone (psycopg and cryptography are all that it needs), and refuses what the real one refuses: a
database on a dirty or newer schema, a secret key of another length wherever something is to be opened, an
absent token key, tokens that it has not signed. It is stricter in two things: it does not start on a Redis
that is not empty, nor without what `prepare` would have set in its environment.

`--outward` only tries to reach the addresses in $OUTWARD, as a webhook would.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from psycopg.rows import dict_row

try:  # where cryptography 47 and later keep the mode that Harbor uses
    from cryptography.hazmat.decrepit.ciphers.modes import CFB
except ImportError:
    from cryptography.hazmat.primitives.ciphers.modes import CFB

LENGTHS = {"CORE_SECRET": 16, "JOBSERVICE_SECRET": 16, "CSRF_KEY": 32}
NEEDED = (
    *LENGTHS, "CONFIG_PATH", "EXT_ENDPOINT", "POSTGRESQL_HOST", "POSTGRESQL_PORT", "POSTGRESQL_USERNAME",
    "POSTGRESQL_PASSWORD", "POSTGRESQL_DATABASE", "_REDIS_URL_CORE", "_REDIS_URL_REG", "REGISTRY_URL",
    "REGISTRY_CREDENTIAL_USERNAME", "REGISTRY_CREDENTIAL_PASSWORD", "TOKEN_SERVICE_URL", "CORE_URL",
    "CORE_LOCAL_URL", "JOBSERVICE_URL", "REGISTRY_CONTROLLER_URL", "PORTAL_URL", "RELOAD_KEY",
)  # fmt: skip
_ROUNDS = {"sha1": ("sha1", 4_096), "sha256": ("sha256", 4_096), "pbkdf2_sha256": ("sha256", 600_000)}
_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)")
_BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/.+")
_READS = ("GET", "HEAD")


def secret_key() -> bytes:
    """The key that opens what is encrypted."""
    return Path(os.environ.get("KEY_PATH", "/etc/core/key")).read_bytes()


def token_key() -> rsa.RSAPrivateKey:
    """The key that signs tokens; raises OSError without one."""
    path = Path(os.environ.get("TOKEN_PRIVATE_KEY_PATH", "/etc/core/private_key.pem"))
    found = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(found, rsa.RSAPrivateKey)
    return found


def fatal(words: str) -> None:
    """End as core does where it cannot begin."""
    print(f"[FATAL] [/core/main.go]: {words}", flush=True)
    raise SystemExit(1)


def connect() -> psycopg.Connection[dict[str, Any]]:
    """The database, as the environment names it: one connection, which waits for its turn."""
    given = os.environ
    return _connection(
        given["POSTGRESQL_HOST"], given["POSTGRESQL_PORT"], given["POSTGRESQL_USERNAME"],
        given["POSTGRESQL_PASSWORD"], given["POSTGRESQL_DATABASE"],
        given.get("POSTGRESQL_SSLMODE", "disable"),
    )  # fmt: skip


@functools.cache
def _connection(
    host: str, port: str, user: str, password: str, dbname: str, sslmode: str
) -> psycopg.Connection[dict[str, Any]]:
    return psycopg.connect(
        host=host, port=port, user=user, password=password, dbname=dbname, sslmode=sslmode,
        row_factory=dict_row, autocommit=True,
    )  # fmt: skip


def rows(query: str, *values: object) -> list[dict[str, Any]]:
    """The rows of a query."""
    return connect().execute(query.encode(), values).fetchall()


def run(query: str, *values: object) -> None:
    """A statement without rows."""
    connect().execute(query.encode(), values)


def cache(database: int, *words: str) -> str:
    """What Redis says to a command in one of its databases."""
    address = urlsplit(os.environ["_REDIS_URL_CORE"])
    with socket.create_connection((address.hostname or "", address.port or 6379), 10) as connection:
        file = connection.makefile("rwb")
        for command in (("SELECT", str(database)), words):
            parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in command)
            file.write(b"*%d\r\n%s" % (len(command), parts))
            file.flush()
            said = file.readline().decode().strip()
    return said


def outward() -> Iterator[str]:
    """Try to tell somebody outside, and say what came of it."""
    for address in filter(None, os.environ.get("OUTWARD", "").split(",")):
        host, _, port = address.partition(":")
        try:
            with socket.create_connection((host, int(port)), 2) as connection:
                connection.sendall(b"POST / HTTP/1.0\r\n\r\n")
            yield f"told {address}"
        except OSError as error:
            yield f"webhook to {address}: {error}"


def boot() -> None:
    """Look at everything that core looks at before it serves."""
    for name in NEEDED:
        if not os.environ.get(name):
            fatal(f"{name} is not set")
    for name, length in LENGTHS.items():
        if len(os.environ[name]) != length:
            fatal(f"{name} has not {length} characters")
    try:
        Path(os.environ["CONFIG_PATH"]).read_bytes()
        secret_key()
    except OSError as error:
        fatal(f"failed to read {error.filename}: {error.strerror}")
    for database in (0, 1):
        if cache(database, "DBSIZE") != ":0":
            fatal(f"Redis is stale: database {database} is not empty")
    migrate(int(os.environ["HARBOR_SCHEMA"]))


def migrate(own: int) -> None:
    """What golang-migrate does: nothing on a dirty schema, forwards alone."""
    try:
        found = rows("SELECT version, dirty FROM schema_migrations")
    except psycopg.Error as error:
        fatal(f"failed to migrate the database, error: {str(error).strip()}")
    version, dirty = found[0]["version"], found[0]["dirty"]
    if dirty:
        fatal(
            f"failed to migrate the database, error: Dirty database version {version}. Fix and force version."
        )
    if version > own:
        fatal(f"failed to migrate the database, error: no migration found for version {version}")
    if version < own and os.environ.get("MIGRATION_FAILS"):
        run("UPDATE schema_migrations SET version = %s, dirty = true", own)
        fatal(f'failed to migrate the database, error: column "x" already exists in migration {own}')
    run("UPDATE schema_migrations SET version = %s", own)
    print(f"The database has been migrated successfully: {version} to {own}", flush=True)


def hashed(password: str, salt: str, version: str) -> str:
    """As in src/common/utils/encrypt.go."""
    algorithm, count = _ROUNDS[version]
    return hashlib.pbkdf2_hmac(algorithm, password.encode(), salt.encode(), count, 16).hex()


def opened(value: str) -> str:
    """What the secret key makes of a value; raises ValueError where it is no key."""
    raw = base64.b64decode(value.removeprefix("<enc-v1>"))
    decryptor = Cipher(algorithms.AES(secret_key()), CFB(raw[:16])).decryptor()
    return (decryptor.update(raw[16:]) + decryptor.finalize()).decode("utf-8", "replace")


class Who:
    """Who asks: nobody, a user or a robot, and what they may do in repositories."""

    def __init__(self, authorization: str) -> None:
        self.name, self.actions, self.administrator = "", frozenset[str](), False
        if not authorization.startswith("Basic "):
            return
        name, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
        if name.startswith("robot$"):
            self._robot(name, password)
        else:
            self._user(name, password)

    def _user(self, name: str, password: str) -> None:
        for user in rows("SELECT * FROM harbor_user WHERE username = %s AND NOT deleted", name):
            if hashed(password, user["salt"], user["password_version"]) == user["password"]:
                self.name, self.administrator = name, user["sysadmin_flag"]
                self.actions = frozenset(("pull", "push")) if self.administrator else frozenset()

    def _robot(self, name: str, password: str) -> None:
        for robot in rows(
            "SELECT * FROM robot WHERE name = %s AND NOT disabled", name.removeprefix("robot$")
        ):
            if hashed(password, robot["salt"], "sha256") == robot["secret"]:
                self.name = name
                granted = rows(
                    "SELECT p.action FROM role_permission r JOIN permission_policy p"
                    " ON p.id = r.permission_policy_id WHERE r.role_type = 'robotaccount' AND r.role_id = %s"
                    " AND p.scope = '/project/*' AND p.resource = 'repository'",
                    robot["id"],
                )
                self.actions = frozenset(policy["action"] for policy in granted)


def public(repository: str) -> frozenset[str]:
    """What anybody may do there."""
    found = rows(
        "SELECT FROM project_metadata m JOIN project p USING (project_id)"
        " WHERE p.name = %s AND m.name = 'public' AND m.value = 'true'",
        repository.partition("/")[0],
    )
    return frozenset(("pull",)) if found else frozenset()


def make_token(who: Who, scopes: list[str], anybody: Callable[[str], frozenset[str]] = public) -> str:
    """A token for what somebody may do of what was asked; raises OSError without the key.

    `anybody` says what everyone may do in a repository.
    """
    key = token_key()
    access = [
        {"name": name, "actions": sorted((who.actions | anybody(name)) & set(actions.split(",")))}
        for _, _, rest in (scope.partition(":") for scope in scopes)
        for name, _, actions in (rest.rpartition(":"),)
    ]
    claims = {"sub": who.name, "exp": time.time() + 1800, "access": access}
    signed = ".".join(_text(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    return f"{signed}.{_text(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def token_allows(token: str, name: str, action: str) -> bool:
    """Whether core itself has signed a token that allows this."""
    key = token_key()
    signed, _, signature = token.rpartition(".")
    try:
        key.public_key().verify(_bytes(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    claims = json.loads(_bytes(signed.partition(".")[2]))
    return claims["exp"] > time.time() and any(
        each["name"] == name and action in each["actions"] for each in claims["access"]
    )


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def registry(
    method: str, path: str, headers: Mapping[str, str], body: bytes | None
) -> tuple[int, list[tuple[str, str]], bytes]:
    """What the registry behind core says, asked with core's own password."""
    given = os.environ
    login = f"{given['REGISTRY_CREDENTIAL_USERNAME']}:{given['REGISTRY_CREDENTIAL_PASSWORD']}"
    own = {**headers, "Authorization": "Basic " + base64.b64encode(login.encode()).decode()}
    request = urllib.request.Request(given["REGISTRY_URL"] + path, data=body, headers=own, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.getheaders(), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, list(error.headers.items()), error.read()


class Core(BaseHTTPRequestHandler):
    """The calls."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer any request."""
        url = urlsplit(self.path)
        try:
            if url.path.startswith("/api/v2.0/"):
                self._api(url.path.removeprefix("/api/v2.0/"), parse_qs(url.query))
            elif url.path == "/service/token":
                scopes = [each for value in parse_qs(url.query).get("scope", []) for each in value.split()]
                self._say(200, {"token": make_token(self._who, scopes), "expires_in": 1800})
            elif url.path.startswith("/v2/"):
                self._images(url.path)
            else:
                self._say(404, {})
        except (OSError, ValueError, psycopg.Error) as error:
            print(f"[ERROR] {self.command} {url.path}: {error}", flush=True)
            self._say(500, {"errors": [{"code": "UNKNOWN", "message": "internal server error"}]})

    do_HEAD = do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815

    @property
    def _who(self) -> Who:
        return Who(self.headers.get("Authorization", ""))

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _api(self, path: str, query: Mapping[str, list[str]]) -> None:
        match path:
            case "ping":
                return self._raw(200, [("Content-Type", "text/plain")], b"Pong")
            case "health":
                return self._say(200, health())
            case "internalconfig":
                secret = f"Harbor-Secret {os.environ['JOBSERVICE_SECRET']}"
                good = self.headers.get("Authorization") == secret
                return self._say(200, database()) if good else self._say(403, {})
            case _:
                return self._api_of_users(path, query)

    def _api_of_users(self, path: str, query: Mapping[str, list[str]]) -> None:
        who = self._who
        if not who.name:
            return self._say(401, {"errors": [{"code": "UNAUTHORIZED", "message": "unauthorized"}]})
        match self.command, path.split("/"):
            case "GET", ["systeminfo"]:
                self._say(200, {"harbor_version": os.environ["HARBOR_VERSION"]})
            case "GET", ["users", "current"]:
                self._say(200, {"username": who.name, "sysadmin_flag": who.administrator})
            case "GET", ["projects"]:
                self._list("SELECT name FROM project WHERE NOT deleted", query)
            case "GET", ["repositories"]:
                self._list("SELECT name FROM repository", query)
            case "GET", [("audit-logs" | "auditlog-exts") as log]:
                table = "audit_log" if log == "audit-logs" else "audit_log_ext"
                columns = "id, username, resource, resource_type, operation, op_time"
                order = query.get("sort", ["-op_time"])[0].removeprefix("-")
                self._list(f"SELECT {columns} FROM {table} ORDER BY {order} DESC", query)
            case "GET", ["configurations"] if who.administrator:
                self._say(200, configurations())
            case "GET", ["registries", number] if who.administrator:
                self._registry(int(number))
            case "POST", ["projects"] if who.administrator:
                self._make_project(json.loads(self._body()), who)
            case _:
                self._say(404, {})
        return None

    def _list(self, query: str, asked: Mapping[str, list[str]]) -> None:
        found = rows(query)
        size = int(asked.get("page_size", ["10"])[0])
        self._say(200, found[:size], [("X-Total-Count", str(len(found)))])

    def _registry(self, number: int) -> None:
        (found,) = rows("SELECT * FROM registry WHERE id = %s", number)
        opened(found["access_secret"])
        credential = {"access_key": found["access_key"], "access_secret": "*****", "type": "basic"}
        self._say(200, {"id": number, "name": found["name"], "credential": credential})

    def _make_project(self, wanted: dict[str, Any], who: Who) -> None:
        name = wanted["project_name"]
        (made,) = rows(
            "INSERT INTO project (owner_id, name) SELECT user_id, %s FROM harbor_user WHERE username = %s"
            " RETURNING project_id",
            name, who.name,
        )  # fmt: skip
        number = str(made["project_id"])
        for table, column, value in (
            ("quota", "hard", '{"storage": -1}'),
            ("quota_usage", "used", '{"storage": 0}'),
        ):
            run(
                f"INSERT INTO {table} (reference, reference_id, {column}) VALUES ('project', %s, %s)",
                number, value,
            )  # fmt: skip
        self._raw(201, [("Location", f"/api/v2.0/projects/{number}")], b"")

    def _images(self, path: str) -> None:
        manifest, blob = _MANIFEST.fullmatch(path), _BLOB.fullmatch(path)
        found = manifest or blob
        action = "pull" if self.command in _READS else "push"
        if path == "/v2/" and self._who.name:
            return self._say(200, {})
        bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if found is None or not token_allows(bearer, found["name"], action):
            realm = f"{urlsplit(os.environ['EXT_ENDPOINT']).scheme}://{self.headers['Host']}/service/token"
            challenge = f'Bearer realm="{realm}",service="harbor-registry"'
            return self._say(401, {"errors": [{"code": "UNAUTHORIZED"}]}, [("Www-Authenticate", challenge)])
        if manifest is None:
            return self._forward(self.path)
        if self.command in _READS:
            return self._pull(manifest["name"], manifest["reference"])
        return self._push(manifest["name"], manifest["reference"])

    def _pull(self, name: str, reference: str) -> None:
        known = rows(
            "SELECT a.digest FROM artifact a JOIN repository r USING (repository_id) WHERE r.name = %s AND"
            " (a.digest = %s OR EXISTS (SELECT FROM tag t WHERE t.artifact_id = a.id AND t.name = %s))",
            name, reference, reference,
        )  # fmt: skip
        if not known:
            return self._say(
                404, {"errors": [{"code": "NOT_FOUND", "message": f"{name}:{reference} not found"}]}
            )
        return self._forward(f"/v2/{name}/manifests/{known[0]['digest']}")

    def _push(self, name: str, reference: str) -> None:
        data = self._body()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        project = rows(
            "SELECT p.project_id FROM project p JOIN quota q ON q.reference_id = p.project_id::text"
            " WHERE p.name = %s AND NOT p.deleted",
            name.partition("/")[0],
        )
        if not project:
            return self._say(404, {"errors": [{"code": "NOT_FOUND", "message": "quota not found"}]})
        kind = self.headers["Content-Type"]
        # Since 2.15 the storage has no tags: the registry is told the digest alone.
        headers = {"Content-Type": kind, "Host": self.headers["Host"]}
        status, _, said = registry("PUT", f"/v2/{name}/manifests/{digest}", headers, data)
        if status != 201:
            return self._raw(status, [], said)
        number = project[0]["project_id"]
        (repository,) = rows(
            "INSERT INTO repository (name, project_id) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE"
            " SET name = excluded.name RETURNING repository_id",
            name, number,
        )  # fmt: skip
        (artifact,) = rows(
            "INSERT INTO artifact (project_id, repository_name, digest, type, repository_id, media_type,"
            " manifest_media_type, size, artifact_type) VALUES (%s, %s, %s, 'IMAGE', %s, %s, %s, %s, %s)"
            " RETURNING id",
            number, name, digest, repository["repository_id"], kind, kind, len(data), kind,
        )  # fmt: skip
        run(
            "INSERT INTO tag (repository_id, artifact_id, name) VALUES (%s, %s, %s)",
            repository["repository_id"], artifact["id"], reference,
        )  # fmt: skip
        print("\n".join(outward()), flush=True)
        # As for a project with a webhook; that nobody takes it is logged, and no more.
        with contextlib.suppress(OSError):
            ask_for_job("WEBHOOK")
        return self._raw(201, [("Docker-Content-Digest", digest)], b"")

    def _forward(self, path: str) -> None:
        kept = ("Accept", "Content-Type", "Host", "Content-Length")
        headers = {name: self.headers[name] for name in kept if name in self.headers}
        body = None if self.command in _READS else self._body()
        self._raw(*registry(self.command, path, headers, body))

    def _say(self, status: int, document: object, more: list[tuple[str, str]] | None = None) -> None:
        body = json.dumps(document, default=lambda value: f"{value.isoformat()}Z").encode()
        self._raw(status, [("Content-Type", "application/json"), *(more or [])], body)

    def _raw(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        length = next((value for name, value in headers if name.lower() == "content-length"), str(len(body)))
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
        self.send_header("Set-Cookie", f"sid={secrets.token_hex(8)}; Path=/; HttpOnly")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def health() -> dict[str, object]:
    """How the components are; of those that are not there nobody answers."""
    states = {
        "core": True,
        "database": bool(rows("SELECT 1")),
        "redis": cache(0, "PING") == "+PONG",
        "registry": registry("GET", "/v2/", {}, None)[0] == 200,
        "jobservice": jobservice_answers(),
        "portal": False,
        "registryctl": False,
    }
    listed = [{"name": name, "status": "healthy" if well else "unhealthy"} for name, well in states.items()]
    return {"status": "healthy" if all(states.values()) else "unhealthy", "components": listed}


def jobservice_answers() -> bool:
    """Whether its health check says that it is there."""
    try:
        with urllib.request.urlopen(f"{os.environ['JOBSERVICE_URL']}/api/v1/stats") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def ask_for_job(kind: str) -> None:
    """Have jobservice do something, and note the task; raises OSError where it does not take it."""
    body = json.dumps({"job": {"name": kind}}).encode()
    login = {"Authorization": f"Harbor-Secret {os.environ['CORE_SECRET']}"}
    address = f"{os.environ['JOBSERVICE_URL']}/api/v1/jobs"
    with urllib.request.urlopen(urllib.request.Request(address, data=body, headers=login)):
        pass


def database() -> dict[str, str]:
    """What jobservice is told of the database, for it has no settings of its own."""
    named = ("HOST", "PORT", "USERNAME", "PASSWORD", "DATABASE", "SSLMODE")
    return {name.lower(): os.environ[f"POSTGRESQL_{name}"] for name in named}


def configurations() -> dict[str, object]:
    """The settings: those of the database over the defaults, without what is secret."""
    found = {"auth_mode": "db_auth", "robot_name_prefix": "robot$", "read_only": "false"}
    found |= {row["k"]: row["v"] for row in rows("SELECT k, v FROM properties") if "<enc-v1>" not in row["v"]}
    return {name: {"value": value, "editable": True} for name, value in found.items()}


def main() -> None:
    """Serve, or only try to reach outside."""
    if sys.argv[1:] == ["--outward"]:
        print("\n".join(outward()))
        return
    if os.environ.get("HANGS"):
        subprocess.run(["sleep", "infinity"], check=False)
    print(f"{datetime.now(UTC).isoformat()} core {os.environ['HARBOR_VERSION']}", flush=True)
    boot()
    print("\n".join(outward()), flush=True)
    ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Core).serve_forever()


if __name__ == "__main__":
    main()
