"""What a manifest needs, read from its own bytes: a proof that asks neither tables nor links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from drkit.errors import ManifestMissing, ToolFailed
from drkit.registry import storage
from drkit.tools.registry import Descriptor, hashes_to, parse_manifest

# No registry takes a longer one (distribution, registry/handlers: maxManifestBodySize).
LARGEST = 4 << 20
# Every manifest says its schema's version, but for OCI's withdrawn artifact manifest.
_MARK = re.compile(rb'"schemaVersion"|artifact\.manifest')
_DIGEST = re.compile(r"[a-z0-9+._-]+:[0-9a-f]{32,128}")


@dataclass(frozen=True)
class Needs:
    """What must be there for a manifest to be of use: manifests of an index, configuration and layers.

    Left out are foreign layers, which are fetched from elsewhere, and the subject of a signature, which may
    come later than the signature or never (OCI distribution, "Pushing Manifests with Subject"). Those that
    only their URLs tell from other layers are named as `elsewhere`.
    """

    children: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]
    elsewhere: tuple[Descriptor, ...] = ()

    @property
    def every(self) -> tuple[Descriptor, ...]:
        """Children and blobs."""
        return self.children + self.blobs


def read(root: Path, digest: str) -> Needs:
    """What a stored manifest needs; its bytes are hashed first.

    Raises ToolFailed with a sentence that names it: not there, too long, other bytes, no manifest.
    """
    path = storage.blob_path(root, digest)
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise ManifestMissing(f"the manifest {digest} is not there") from None
    except OSError as error:
        raise ToolFailed(f"cannot read the manifest {digest}: {error.strerror}") from None
    return needs(digest, data)


def needs(digest: str, data: bytes) -> Needs:
    """What a manifest of these bytes needs; raises ToolFailed as `read` does."""
    if len(data) > LARGEST:
        raise ToolFailed(f"{digest} is longer than any manifest: more than {LARGEST >> 20} MiB")
    if not hashes_to(data, digest):
        raise ToolFailed(f"the bytes of the manifest {digest} are not what its name says")
    try:
        found = parse_manifest(digest, data)
    except RecursionError:
        raise ToolFailed(f"{digest} is not a manifest: it is nested too deeply") from None
    for entry in found.children + found.blobs:
        if not isinstance(entry.digest, str) or not _DIGEST.fullmatch(entry.digest):
            raise ToolFailed(f"{digest} is not a manifest: it names {str(entry.digest)[:80]!r} as a digest")
    if not found.children and not found.blobs and not _may_be_empty(data):
        raise ToolFailed(f"{digest} is not a manifest: it names nothing")
    here = tuple(blob for blob in found.blobs if not blob.foreign)
    return Needs(found.children, here, tuple(blob for blob in found.blobs if blob.only_urls))


def may_be_one(data: bytes) -> bool:
    """Whether a blob of these bytes may be a manifest; of what is none this is hardly ever said."""
    return len(data) <= LARGEST and data.lstrip()[:1] == b"{" and _MARK.search(data) is not None


def _may_be_empty(data: bytes) -> bool:
    """An index that lists nothing, and OCI's withdrawn artifact manifest, are manifests all the same."""
    return b'"manifests"' in data or b"artifact.manifest" in data
