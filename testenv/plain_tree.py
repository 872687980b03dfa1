"""The directory of a plain registry, written without one: images of one layer each, with all their links."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

_TREE = "docker/registry/v2"
_IMAGE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_PIECE = 1 << 20


def make(root: Path, images: int, layer_bytes: int) -> list[Path]:
    """Write so many images below a new root directory; returns where their layers are."""
    return [_image(root, f"library/app-{number}", layer_bytes) for number in range(images)]


def _image(root: Path, repository: str, size: int) -> Path:
    layer, path = _random(root, size)
    config = json.dumps(
        {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer]}}
    )
    parts = [(_CONFIG, _blob(root, config.encode()), len(config)), (_LAYER, layer, size)]
    described = [{"mediaType": kind, "digest": digest, "size": length} for kind, digest, length in parts]
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": _IMAGE, "config": described[0], "layers": described[1:]}
    )
    digest = _blob(root, manifest.encode())
    home = root / _TREE / "repositories" / repository
    for part in (each[1] for each in parts):
        _link(home / "_layers/sha256" / part[7:], part)
    _link(home / "_manifests/revisions/sha256" / digest[7:], digest)
    _link(home / "_manifests/tags/latest/current", digest)
    _link(home / "_manifests/tags/latest/index/sha256" / digest[7:], digest)
    return path


def _random(root: Path, size: int) -> tuple[str, Path]:
    """A blob of random bytes, written in pieces; its digest and where it is."""
    root.mkdir(parents=True, exist_ok=True)
    written, hasher = root / "being-written", hashlib.sha256()
    with written.open("wb") as file:
        while (left := size - file.tell()) > 0:
            piece = os.urandom(min(left, _PIECE))
            hasher.update(piece)
            file.write(piece)
    path = _place(root, hasher.hexdigest())
    written.replace(path)
    return f"sha256:{hasher.hexdigest()}", path


def _blob(root: Path, data: bytes) -> str:
    digits = hashlib.sha256(data).hexdigest()
    _place(root, digits).write_bytes(data)
    return f"sha256:{digits}"


def _place(root: Path, digits: str) -> Path:
    path = root / _TREE / "blobs/sha256" / digits[:2] / digits / "data"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _link(directory: Path, digest: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "link").write_text(digest)
