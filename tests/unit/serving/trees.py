"""A small storage tree, made by hand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from drkit.registry import links, storage

IMAGE = "application/vnd.oci.image.manifest.v1+json"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def put(root: Path, name: str, data: bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def layer(root: Path, repository: str, data: bytes) -> str:
    """Store a blob that a repository has."""
    found = digest(data)
    put(root, str(storage.blob_name(found)), data)
    put(root, links.of_manifest(repository, found)[1], found.encode())
    return found


def manifest(root: Path, repository: str, tag: str = "", **more: Any) -> str:
    """Store a manifest of a repository, and a tag for it."""
    data = json.dumps({"schemaVersion": 2, "mediaType": IMAGE, **more}).encode()
    found = digest(data)
    put(root, str(storage.blob_name(found)), data)
    put(root, links.of_manifest(repository, found)[0], found.encode())
    if tag:
        put(root, links.of_tag(repository, tag), found.encode())
    return found
