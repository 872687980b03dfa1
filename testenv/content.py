"""What images are made of: layers that are real archives, image configurations, manifests."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

_DATE = "2026-01-02T03:04:05Z"


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says of one of the things that it names."""

    media_type: str
    digest: str
    size: int
    extra: tuple[tuple[str, Any], ...] = ()  # platform, urls, annotations

    def as_json(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return {"mediaType": self.media_type, "size": self.size, "digest": self.digest, **dict(self.extra)}


@dataclass(frozen=True)
class Layer:
    """One archive, compressed."""

    content: bytes
    digest: str
    diff_id: str  # of what it unpacks to


@dataclass(frozen=True)
class Manifest:
    """A manifest or an index, and what Harbor reads from it."""

    content: bytes
    media_type: str
    references: tuple[Descriptor, ...]  # the configuration first, then the layers; or the children
    config_media_type: str  # of an index: its own type, as Harbor has it
    subject: Descriptor | None = None

    @property
    def digest(self) -> str:
        """The digest of its bytes, by which everything refers to it."""
        return digest_of(self.content)

    @property
    def is_index(self) -> bool:
        """Has it children instead of layers?"""
        return self.media_type == OCI_INDEX

    def descriptor(self, **extra: object) -> Descriptor:
        """What another manifest says of this one."""
        return Descriptor(self.media_type, self.digest, len(self.content), tuple(extra.items()))


def digest_of(content: bytes) -> str:
    """`sha256:` and the hex digest."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def make_layer(payload: bytes, name: str) -> Layer:
    """A gzipped tar with a text file and the payload, which is stored and not squeezed: it is random."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        files = {f"etc/{name}.conf": f"# {name}\nanswer = 42\n".encode(), f"opt/{name}/data.bin": payload}
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mtime, entry.mode = len(content), 1_767_323_045, 0o644
            tar.addfile(entry, io.BytesIO(content))
    plain = archive.getvalue()
    compressed = gzip.compress(plain, compresslevel=6 if len(plain) < 50_000 else 0, mtime=0)
    return Layer(compressed, digest_of(compressed), digest_of(plain))


def make_config(diff_ids: list[str], *, architecture: str, title: str, os: str = "linux") -> bytes:
    """An image configuration."""
    return _json(
        {
            "created": _DATE,
            "author": "Zoë O'Brien <zoe@example.test>",
            "architecture": architecture,
            "os": os,
            "config": {
                "Env": ["PATH=/usr/bin:/bin", f"TITLE={title}"],
                "Cmd": ["/bin/sh", "-c", 'echo "hello"'],
                "Labels": {"org.opencontainers.image.title": title},
            },
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [{"created": _DATE, "created_by": f"COPY layer-{n} /"} for n in range(len(diff_ids))],
        }
    )


def make_manifest(
    config: Descriptor,
    layers: list[Descriptor],
    *,
    media_type: str = OCI_MANIFEST,
    subject: Descriptor | None = None,
) -> Manifest:
    """The manifest of an image, or of anything else that has a configuration and layers."""
    body: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config.as_json(),
        "layers": [layer.as_json() for layer in layers],
    }
    if subject:
        body["subject"] = subject.as_json()
    return Manifest(_json(body), media_type, (config, *layers), config.media_type, subject)


def make_index(children: list[Descriptor]) -> Manifest:
    """An index of images for several platforms."""
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child.as_json() for child in children]}
    return Manifest(_json(body), OCI_INDEX, tuple(children), OCI_INDEX)


def parse_manifest(content: bytes, media_type: str) -> Manifest:
    """A manifest that another tool has pushed, such as cosign's signatures."""
    body = json.loads(content)

    def descriptor(raw: dict[str, Any]) -> Descriptor:
        return Descriptor(raw["mediaType"], raw["digest"], raw["size"])

    references = (descriptor(body["config"]), *(descriptor(layer) for layer in body["layers"]))
    return Manifest(content, media_type, references, body["config"]["mediaType"])


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
