"""A plain registry without Harbor: docker-registry on a socket, and content as it is found in the world."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from testenv import processes
from tests import needs

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"
SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
TREE = "docker/registry/v2"
Entry = dict[str, Any]


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digits(digest: str) -> str:
    return digest.partition(":")[2]


def entry(kind: str, data: bytes, **more: object) -> Entry:
    return {"mediaType": kind, "digest": sha256(data), "size": len(data), **more}


@dataclass(frozen=True)
class Plain:
    """A running registry, and the directory that it keeps its tree in."""

    root: Path
    http: httpx.Client
    port: int = 0

    def blob(self, repository: str, data: bytes, algorithm: str = "sha256") -> str:
        """Push a blob; returns its digest."""
        digest = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
        begun = self.http.post(f"/v2/{repository}/blobs/uploads/")
        place = httpx.URL(begun.headers["Location"]).copy_merge_params({"digest": digest})
        answer = self.http.put(place, content=data, headers={"Content-Type": "application/octet-stream"})
        assert answer.status_code == 201, answer.text
        return digest

    def manifest(self, repository: str, reference: str, kind: str, data: bytes) -> str:
        """Push a manifest's bytes; returns their digest."""
        path = f"/v2/{repository}/manifests/{reference}"
        answer = self.http.put(path, content=data, headers={"Content-Type": kind})
        assert answer.status_code == 201, answer.text
        return sha256(data)

    def push(self, repository: str, reference: str, **document: Any) -> str:
        """Push an image manifest or an index of these fields."""
        kind = INDEX if "manifests" in document else IMAGE
        data = json.dumps({"schemaVersion": 2, "mediaType": kind, **document}).encode()
        return self.manifest(repository, reference if reference else sha256(data), kind, data)

    def image(self, repository: str, tag: str, layer: bytes, **more: Any) -> str:
        """Push an image with one layer."""
        config = b'{"architecture": "amd64"}'
        for data in (config, layer):
            self.blob(repository, data)
        layers = [entry(LAYER, layer)]
        return self.push(repository, tag, config=entry(CONFIG, config), layers=layers, **more)

    def status(self, repository: str, reference: str) -> int:
        """What production answers to whoever pulls that."""
        accept = ", ".join((IMAGE, INDEX, SIGNED))
        return self.http.get(
            f"/v2/{repository}/manifests/{reference}", headers={"Accept": accept}
        ).status_code

    def revision(self, repository: str, digest: str) -> Path:
        """The link by which a repository has a manifest."""
        base = self.root / TREE / "repositories" / repository
        return base / "_manifests/revisions/sha256" / digits(digest) / "link"

    def data(self, digest: str) -> Path:
        """The bytes of a blob."""
        return self.root / TREE / "blobs/sha256" / digits(digest)[:2] / digits(digest) / "data"


@contextlib.contextmanager
def running(directory: Path, port: int = 0) -> Iterator[Plain]:
    """A registry below a directory, which has a short name for the sake of the socket in it.

    With a port it listens there instead.
    """
    program = needs.program("docker-registry")
    root, address, settings = directory / "registry", directory / "s", directory / "registry.yml"
    root.mkdir()
    http = {"addr": f"127.0.0.1:{port}"} if port else {"net": "unix", "addr": str(address)}
    settings.write_text(json.dumps(_settings(root, http)))
    with (directory / "registry.log").open("wb") as log:
        server = subprocess.Popen([program, "serve", str(settings)], stdout=log, stderr=log)
    try:
        transport = httpx.HTTPTransport(uds=None if port else str(address))
        url = f"http://127.0.0.1:{port}" if port else "http://registry.test"
        with httpx.Client(transport=transport, base_url=url, timeout=60) as client:
            _wait(client, server, None if port else address)
            yield Plain(root, client, port)
    finally:
        server.kill()
        server.wait()


def free_port() -> int:
    """A port that nobody listens on at the moment, and that no outgoing connection gets meanwhile."""
    return next(processes.free_ports())


def listens(path: Path) -> bool:
    """Whether somebody takes connections on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.connect(str(path))
        return True
    return False


def _settings(root: Path, http: Mapping[str, str]) -> Mapping[str, object]:
    return {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(root)}, "delete": {"enabled": True}},
        "compatibility": {"schema1": {"enabled": True}},
        "validation": {"manifests": {"urls": {"allow": [".*"]}}},
        "http": {**http, "secret": "not-a-secret"},
    }


def _wait(client: httpx.Client, server: subprocess.Popen[bytes], address: Path | None) -> None:
    while server.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if (address is None or listens(address)) and client.get("/v2/").status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError("the registry ended")


def signed_manifest(repository: str, tag: str, layers: Sequence[str]) -> tuple[bytes, bytes]:
    """A manifest of Docker's first schema: what was signed of it, and the whole (libtrust's pretty JWS)."""
    history = [{"v1Compatibility": json.dumps({"id": f"{n:064x}"})} for n, _ in enumerate(layers)]
    document = {
        "schemaVersion": 1,
        "name": repository,
        "tag": tag,
        "architecture": "amd64",
        "fsLayers": [{"blobSum": layer} for layer in layers],
        "history": history,
    }
    payload = json.dumps(document, indent=3).encode()
    cut = payload.rindex(b"\n}")
    protected = {"formatLength": cut, "formatTail": _base64url(payload[cut:]), "time": "2015-01-01T00:00:00Z"}
    head = _base64url(json.dumps(protected).encode())
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.sign(f"{head}.{_base64url(payload)}".encode(), ec.ECDSA(hashes.SHA256()))
    value = b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(der))
    numbers = key.public_key().public_numbers()
    web_key = {
        "crv": "P-256",
        "kty": "EC",
        "x": _base64url(numbers.x.to_bytes(32, "big")),
        "y": _base64url(numbers.y.to_bytes(32, "big")),
    }
    signature = {
        "header": {"jwk": web_key, "alg": "ES256"},
        "signature": _base64url(value),
        "protected": head,
    }
    whole = payload[:cut] + b',\n   "signatures": ' + json.dumps([signature]).encode() + payload[cut:]
    return payload, whole


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
