"""What a manifest says that it needs, and bytes that are none."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from drkit.errors import ToolFailed
from drkit.registry import image_manifests, storage

_A, _B, _C = (f"sha256:{letter * 64}" for letter in "abc")


def entry(digest: str, kind: str = "application/vnd.oci.image.layer.v1.tar+gzip") -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": 3}


def needs(document: object) -> image_manifests.Needs:
    data = json.dumps(document).encode()
    return image_manifests.needs(digest_of(data), data)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_an_image_needs_configuration_and_layers_but_no_foreign_ones_and_no_subject() -> None:
    foreign = entry("sha256:" + "d" * 64, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
    far = entry("sha256:" + "e" * 64, "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
    found = needs({"config": entry(_A), "layers": [entry(_B), foreign, far], "subject": entry(_C)})
    assert [blob.digest for blob in found.every] == [_A, _B]


def test_an_index_needs_its_children() -> None:
    kind = "application/vnd.oci.image.manifest.v1+json"
    found = needs({"manifests": [entry(_A, kind), entry(_B, kind)]})
    assert [child.digest for child in found.children] == [_A, _B]


def test_lists_that_go_writes_as_null_are_empty() -> None:
    assert [blob.digest for blob in needs({"config": entry(_A), "layers": None}).every] == [_A]
    assert needs({"manifests": None}).every == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"noise",
        b"[]",
        b"{}",
        b"null",
        b'{"config": 3}',
        b'{"layers": [{"digest": "sha256:../../etc", "size": 1}]}',
        b'{"layers": [{"digest": 4, "size": 1}]}',
        b'{"layers": [{"size": 1}]}',
        b"[" * 100_000,
        b'{"layers": ' * 50_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_manifest_is_a_finding_by_name(data: bytes) -> None:
    with pytest.raises(ToolFailed, match=f"{digest_of(data)} is not a manifest"):
        image_manifests.needs(digest_of(data), data)


def test_what_is_on_disk_is_hashed_and_bounded(tmp_path: Path) -> None:
    def store(digest: str, data: bytes) -> str:
        path = storage.blob_path(tmp_path, digest)
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        return digest

    data = json.dumps({"config": entry(_A)}).encode()
    assert [blob.digest for blob in image_manifests.read(tmp_path, store(digest_of(data), data)).every] == [
        _A
    ]
    with pytest.raises(ToolFailed, match="are not what its name says"):
        image_manifests.read(tmp_path, store(_B, data))
    large = b" " * (image_manifests.LARGEST + 1)
    with pytest.raises(ToolFailed, match="longer than any manifest"):
        image_manifests.read(tmp_path, store(digest_of(large), large))
    with pytest.raises(ToolFailed, match=f"the manifest {_C} is not there"):
        image_manifests.read(tmp_path, _C)
