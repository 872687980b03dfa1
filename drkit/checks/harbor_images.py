"""Pulling from a Harbor that was started on restored data, and pushing to it, as any client does."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any
from urllib.parse import urlencode, urlsplit

from drkit.checks.finding import Finding, failed, passed, verdict
from drkit.errors import CoreRefuses
from drkit.harbor.planting import TaggedImage
from drkit.model import Outcome
from drkit.tools import jwt
from drkit.tools.harbor_core import Core, Login
from drkit.tools.registry import MANIFEST_TYPES, Manifest, parse_manifest

_ACCEPT = {"Accept": ", ".join(MANIFEST_TYPES)}
_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"


def finds(core: Core, login: Login, image: TaggedImage) -> Finding:
    """Somebody is let in, and may ask for an image by its tag.

    The token shows no login, since anybody gets one, and nor does the image: it may be in a public project.
    """
    core.ask("GET", "/v2/", login.header).require(200)
    token = core.token(image.repository, "pull", login)
    path = f"/v2/{image.repository}/manifests/{image.tag}"
    answer = core.ask("HEAD", path, f"Bearer {token}", headers=_ACCEPT).require(200)
    digest = answer.headers.get("docker-content-digest")
    faults = [f"{image.repository}:{image.tag} is {digest}, not {image.digest}"]
    said = f"a planted robot finds {image.repository}:{image.tag}"
    return verdict(faults if digest != image.digest else [], said)


def pulls(core: Core, login: Login, image: TaggedImage, signer: bytes) -> Finding:
    """An image comes whole by its tag and by its digest, with a token that `signer`'s key has signed."""
    token = core.token(image.repository, "pull", login)
    signature = token_signed(token, signer)
    if signature.outcome is not Outcome.PASSED:
        return signature
    bearer, data = f"Bearer {token}", b""
    for reference in (image.tag, image.digest):
        path = f"/v2/{image.repository}/manifests/{reference}"
        data = core.ask("GET", path, bearer, headers=_ACCEPT).require(200).body
        if _digest(data) != image.digest:
            return failed(f"{image.repository}:{reference} is served with the bytes of {_digest(data)}")
    size = _pull_rest(core, image.repository, parse_manifest(image.digest, data), bearer)
    named = f"{image.repository}:{image.tag}"
    return passed(f"{named} by tag and by digest, {size:,} bytes; the restored key signed the token")


def token_signed(token: str, signer: bytes) -> Finding:
    """A token bears the signature of the key that a certificate or private key (PEM) is of."""
    try:
        fits = jwt.signed_by(token, signer)
    except ValueError as error:
        return failed(f"the restored token key cannot be read, or core's token cannot: {error}")
    return passed("signed") if fits else failed("core's token is not signed by the restored key")


def pushes(core: Core, login: Login, project: str) -> Finding:
    """A new project can be made, a small image pushed to it, and read again."""
    body = json.dumps({"project_name": project, "metadata": {"public": "false"}}).encode()
    kind = {"Content-Type": "application/json"}
    core.ask("POST", "/api/v2.0/projects", login.header, body=body, headers=kind).require(201)
    repository = f"{project}/probe"
    bearer = f"Bearer {core.token(repository, 'pull,push', login)}"
    config, layer = b'{"architecture": "amd64", "os": "linux"}', secrets.token_bytes(1024)
    for blob in (config, layer):
        _push_blob(core, repository, blob, bearer)
    document = {
        "schemaVersion": 2,
        "mediaType": _OCI_MANIFEST,
        "config": _described(_OCI_CONFIG, config),
        "layers": [_described(_OCI_LAYER, layer)],
    }
    manifest, path = json.dumps(document).encode(), f"/v2/{repository}/manifests/probe"
    core.ask("PUT", path, bearer, body=manifest, headers={"Content-Type": _OCI_MANIFEST}).require(201)
    back = core.ask("GET", path, bearer, headers=_ACCEPT).require(200)
    faults = [] if back.body == manifest else ["what was pushed comes back with other bytes"]
    return verdict(faults, "a new project took an image of two blobs, and gave it back by its tag")


def _pull_rest(core: Core, repository: str, manifest: Manifest, bearer: str) -> int:
    """Read the blobs of an image, or of an index's first; returns how many bytes they have."""
    for child in manifest.children[:1]:
        path = f"/v2/{repository}/manifests/{child.digest}"
        answer = core.ask("GET", path, bearer, headers=_ACCEPT).require(200)
        manifest = parse_manifest(child.digest, answer.body)
    total = 0
    for blob in manifest.blobs:
        if blob.foreign:
            continue
        digest, length = core.hash(f"/v2/{repository}/blobs/{blob.digest}", bearer)
        if digest != blob.digest:
            raise CoreRefuses(f"{repository}: blob {blob.digest} is served with other bytes")
        total += length
    return total


def _push_blob(core: Core, repository: str, data: bytes, bearer: str) -> None:
    begun = core.ask("POST", f"/v2/{repository}/blobs/uploads/", bearer, body=b"").require(202)
    where = urlsplit(begun.headers.get("location", ""))
    digest = urlencode({"digest": _digest(data)})
    path = f"{where.path}?{where.query}&{digest}" if where.query else f"{where.path}?{digest}"
    headers = {"Content-Type": "application/octet-stream"}
    core.ask("PUT", path, bearer, body=data, headers=headers).require(201)


def _described(kind: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _digest(data), "size": len(data)}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
