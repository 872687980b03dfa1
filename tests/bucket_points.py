"""A bucket's point made by hand from what its format is documented to be, out of a directory's point."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from drkit.config import load_config
from drkit.model import Bucketed, BucketPlace, Part, PartKind, PointManifest, utc_now
from drkit.points import seal_files
from drkit.points.catalog import Catalog, open_catalog, part_tags
from testenv import s3_server
from tests.buckets import Service
from tests.e2e.commands import Drkit

PREFIX = "kept/here"
SOURCE = BucketPlace("registry-blobs", "harbor", "https://s3.example.test", "eu-central-1")
_TREE = "docker/registry/v2"


@dataclass(frozen=True)
class Vaulted:
    """A drkit whose only point has its blobs in a vault."""

    drkit: Drkit
    service: Service
    vault: str
    manifest: PointManifest

    def key(self, digest: str) -> str:
        """Where the vault has a blob."""
        return f"{PREFIX}/{blob_name(digest)}"

    @property
    def inventory(self) -> list[dict[str, Any]]:
        """What the inventory lists."""
        part = self.manifest.need("inventory", "inventory")
        return [json.loads(line) for line in self.drkit.restic("dump", part.snapshot, part.path).splitlines()]


def blob_name(digest: str) -> str:
    """A blob's key below the registry's root."""
    digits = digest.removeprefix("sha256:")
    return f"{_TREE}/blobs/sha256/{digits[:2]}/{digits}/data"


def section(service: Service, bucket: str, home: Path) -> dict[str, Any]:
    """What `[vault]` and `[blobs]` say of a bucket of the service."""
    file = home / "s3.credentials"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text("".join(f"{key}={value}\n" for key, value in service.credentials.items()))
    return {
        "bucket": bucket,
        "endpoint": service.endpoint,
        "region": s3_server.REGION,
        "credentials_file": str(file),
        "addressing": "path",
    }


def into_vault(
    drkit: Drkit,
    blobs: Path,
    service: Service,
    *,
    versions: bool = True,
    spoil: Callable[[int, bytes], bytes | None] = lambda _number, content: content,
) -> Vaulted:
    """Move the blobs of a drkit's only point into a vault, and their links into an archive.

    `blobs` is the directory that the point was taken of; `spoil` says what the vault gets of each blob by its
    number in the inventory, None for one that is gone.
    """
    vault = service.bucket(versions=versions).bucket
    drkit.change(
        lambda document: document.update(vault=section(service, vault, drkit.home) | {"prefix": PREFIX})
    )
    catalog = open_catalog(load_config(drkit.config))
    (point,) = catalog.points()
    assert point.manifest
    assert point.manifest_snapshot
    api = service.api()
    entries: list[dict[str, Any]] = []
    for number, (digest, path) in enumerate(sorted(_blobs(blobs))):
        key, content = f"{PREFIX}/{blob_name(digest)}", path.read_bytes()
        kept = spoil(number, content)
        answer = api.put_object(Bucket=vault, Key=key, Body=content if kept is None else kept)
        found = {"VersionId": answer["VersionId"]} if versions else {}
        if kept is None:
            api.delete_object(Bucket=vault, Key=key, **found)
        version = {"version": answer["VersionId"]} if versions else {}
        entries.append({"digest": digest, "key": key, "size": len(content)} | version)
    total = sum(entry["size"] for entry in entries)
    lines = "".join(json.dumps(entry) + "\n" for entry in entries).encode()
    archive, links = archive_of(blobs)
    sealed = drkit.home / "seal"
    sealed.mkdir()
    files = catalog.fetch_seal(point, sealed)
    for part in seal_files.inside(point.manifest, point.manifest_snapshot):
        # Lists are there already.
        if not (sealed / part.path.lstrip("/")).exists():
            files.write(part, sealed)
    (sealed / "inventory.jsonl").write_bytes(lines)
    database, others = point.manifest.part("database"), point.manifest.parts
    parts = [
        part if part == database else replace(part, snapshot="") for part in others if part.kind != "blobs"
    ]
    parts.append(Part("inventory", "inventory", "", "/inventory.jsonl", total, 0, 0.1))
    parts.append(_store(catalog, point.id, "links", "links.tar", archive, len(archive)))
    place = BucketPlace(vault, PREFIX, service.endpoint, s3_server.REGION)
    bucketed = Bucketed(SOURCE, place, len(entries), total, versioned=versions)
    closure = point.manifest.closure
    assert closure
    assert closure.links
    assert closure.links.links == links
    manifest = replace(
        point.manifest,
        parts=tuple(parts),
        bucket=bucketed,
        blobs_root="s3://registry-blobs/harbor",
        finished_at=utc_now(),
        volume=None,
    )
    old = point.manifest.need("blobs", "blobs").snapshot
    catalog.repository.forget([old, point.manifest_snapshot])
    seal = catalog.seal(manifest, sealed).snapshot
    shutil.rmtree(sealed)
    # As it comes back from JSON.
    came_back: PointManifest = TypeAdapter(PointManifest).validate_json(_json(manifest))
    return Vaulted(drkit, service, vault, came_back.in_seal(seal))


def archive_of(root: Path) -> tuple[bytes, int]:
    """The links of a tree as a deterministic tar, and how many there are."""
    names = sorted(
        (os.path.relpath(f"{directory}/link", root) for directory in _directories_of_links(root)),
        key=os.fsencode,
    )
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in names:
            status = (root / name).stat()
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = status.st_size, int(status.st_mtime), 0o644
            archive.addfile(member, io.BytesIO((root / name).read_bytes()))
    return stream.getvalue(), len(names)


def _directories_of_links(root: Path) -> Iterator[str]:
    for directory, _, files in os.walk(root / _TREE / "repositories"):
        if "link" in files and "_uploads" not in directory.split("/"):
            yield directory


def _blobs(root: Path) -> Iterator[tuple[str, Path]]:
    for path in (root / _TREE / "blobs/sha256").glob("*/*/data"):
        yield f"sha256:{path.parent.name}", path


def _store(catalog: Catalog, point: str, kind: PartKind, name: str, data: bytes, size: int) -> Part:
    tags = part_tags(catalog, point, kind, kind)
    saved = catalog.repository.save_stream([data], name, tags, catalog.site)
    return Part(kind, kind, saved.snapshot, f"/{name}", size, saved.added_bytes, 0.1)


def _json(manifest: PointManifest) -> bytes:
    return TypeAdapter(PointManifest).dump_json(manifest)
