"""A directory of OCI layouts, one a repository, as zot keeps its images; and one that zot itself has made."""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.plain import CONFIG, IMAGE, INDEX, LAYER, Entry, digits, entry, sha256

# What a zot built from its source after 2.1.20 kept after `skopeo copy --all` of an index, a manifest and a
# signature into each of two repositories, with dedupe: packed as it was, cache.db too.
OF_ZOT = Path(__file__).parent / "data/zot.tar.gz"
REPOSITORIES = ("other", "team/app")
TAGS = ("one", "sig", "v1")


def unpack(directory: Path) -> Path:
    """The root directory that zot has made, below a directory."""
    with tarfile.open(OF_ZOT) as packed:
        packed.extractall(directory)
    return directory / "zot"


@dataclass(frozen=True)
class Layouts:
    """A root directory that is filled as zot fills it: a blob first, then the manifest, then the index."""

    root: Path

    def blob_path(self, repository: str, digest: str) -> Path:
        return self.root / repository / "blobs" / digest.partition(":")[0] / digits(digest)

    def blob(self, repository: str, data: bytes) -> str:
        """A blob; one that another repository has is linked."""
        digest = sha256(data)
        path = self.blob_path(repository, digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        same = next(self.root.glob(f"**/blobs/sha256/{digits(digest)}"), None)
        if same and not path.exists():
            os.link(same, path)
        else:
            path.write_bytes(data)
        return digest

    def index(self, repository: str) -> Path:
        return self.root / repository / "index.json"

    def entries(self, repository: str) -> list[Entry]:
        found = json.loads(self.index(repository).read_bytes())["manifests"] or []
        return list(found)

    def write_index(self, repository: str, entries: list[Entry]) -> None:
        self.index(repository).write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))

    def push(self, repository: str, tag: str, **document: Any) -> str:
        """A manifest or an index of these fields, under a tag or without one."""
        kind = INDEX if "manifests" in document else IMAGE
        data = json.dumps({"schemaVersion": 2, "mediaType": kind, **document}).encode()
        digest = self.blob(repository, data)
        (self.root / repository / ".uploads").mkdir(exist_ok=True)
        (self.root / repository / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        notes = {"annotations": {"org.opencontainers.image.ref.name": tag}} if tag else {}
        before = self.entries(repository) if self.index(repository).exists() else []
        named = entry(kind, data, **notes)
        kept = [each for each in before if each.get("annotations") != notes.get("annotations") or not tag]
        self.write_index(repository, [*kept, named])
        return digest

    def image(self, repository: str, tag: str, layer: bytes, **more: Any) -> str:
        """An image with one layer."""
        config = b'{"architecture": "amd64"}'
        for data in (config, layer):
            self.blob(repository, data)
        layers = [entry(LAYER, layer)]
        return self.push(repository, tag, config=entry(CONFIG, config), layers=layers, **more)
