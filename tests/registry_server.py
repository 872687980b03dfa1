"""A docker-registry of a test's own: open to everybody, or with basic or token authentication."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from testenv import processes
from tests import needs

USER, PASSWORD = "robot$library+ci", "pass:word"
# Of that user and password, by bcrypt at its least cost.
_HTPASSWD = f"{USER}:$2a$04$abcdefghijklmnopqrstuu7govE5p0NSk1WUEk5C2Qm3hpPC6VJ66\n"
_SERVICE, _ISSUER = "registry", "tests"


@contextlib.contextmanager
def running(home: Path, *, auth: dict[str, Any] | None = None, read_only: bool = False) -> Iterator[str]:
    """A registry over an empty or older directory; yields its address."""
    home.mkdir(exist_ok=True)
    # Of one that the kernel chooses, somebody else's connection may have the number before we listen on it.
    port = next(processes.free_ports())
    storage: dict[str, Any] = {
        "filesystem": {"rootdirectory": str(home / "data")},
        "delete": {"enabled": True},
    }
    storage["maintenance"] = {"uploadpurging": {"enabled": False}, "readonly": {"enabled": read_only}}
    settings = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": storage,
        "validation": {"manifests": {"urls": {"allow": ["^https://mcr\\.example\\.test/"]}}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "not-a-secret"},
        **({"auth": auth} if auth else {}),
    }
    file = home / "registry.yml"
    file.write_text(yaml.safe_dump(settings))
    with (home / "log").open("wb") as said:
        process = subprocess.Popen(
            [needs.program("docker-registry"), "serve", str(file)], stdout=said, stderr=said, cwd=home
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(process, url, home / "log")
            yield url
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/v2/", trust_env=False).status_code in (200, 401):
                return
        time.sleep(0.02)


def basic(home: Path) -> dict[str, Any]:
    """Authentication by a file of passwords."""
    file = home / "htpasswd"
    file.write_text(_HTPASSWD)
    return {"htpasswd": {"realm": "tests", "path": str(file)}}


@dataclass
class TokenService:
    """Gives tokens to that user, for all but what is `closed`; `asked` are the scopes, in order."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    url: str = ""
    asked: list[tuple[str, ...]] = field(default_factory=list)
    closed: set[str] = field(default_factory=set)

    def auth(self, home: Path) -> dict[str, Any]:
        """How a registry is told of it."""
        file = home / "token.crt"
        file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return {
            "token": {
                "realm": self.url, "service": _SERVICE, "issuer": _ISSUER, "rootcertbundle": str(file),
            }
        }  # fmt: skip

    def answer(self, target: str, authorization: str) -> tuple[int, bytes]:
        """Status and body for a request."""
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if authorization != f"Basic {wanted}":
            return 401, b"{}"
        scopes = tuple(parse_qs(urlsplit(target).query).get("scope", ()))
        self.asked.append(scopes)
        if self.closed & {scope.split(":")[1] for scope in scopes}:
            return 403, b"{}"
        return 200, json.dumps({"token": self._token(scopes), "expires_in": 300}).encode()

    def _token(self, scopes: tuple[str, ...]) -> str:
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
        parts = [scope.split(":") for scope in scopes]
        access = [{"type": kind, "name": name, "actions": which.split(",")} for kind, name, which in parts]
        now = int(time.time())
        claims = {
            "iss": _ISSUER, "sub": USER, "aud": _SERVICE, "exp": now + 300, "nbf": now - 30, "iat": now,
            "jti": str(len(self.asked)), "access": access,
        }  # fmt: skip
        body = f"{_url_safe(json.dumps(header).encode())}.{_url_safe(json.dumps(claims).encode())}"
        signed = self.key.sign(body.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{body}.{_url_safe(signed)}"


def _url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextlib.contextmanager
def token_service() -> Iterator[TokenService]:
    """A token service as Harbor's and others' are."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    service = TokenService(key, certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = service.answer(self.path, self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_address[1]}/token"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
