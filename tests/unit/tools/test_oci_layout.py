"""A layout of images in a directory."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from drkit.errors import ConfigError, UsageError
from drkit.tools.oci_layout import OciLayout

DATA = b"a blob"
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


def entries(directory: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((directory / "index.json").read_bytes())["manifests"]
    return found


def test_an_image_and_the_same_again(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    for number in range(2):
        with OciLayout(directory) as layout:
            assert layout.has_blob("a/b", DIGEST) is bool(number)
            assert layout.manifest("a/b", "v1") == (DIGEST if number else None)
            layout.push_manifest("a/b", DIGEST, "kind", DATA)
            layout.name("a/b", "", DIGEST, "kind", DATA)
            layout.name("a/b", "v1", DIGEST, "kind", DATA)
    (entry,) = entries(directory)
    assert entry == {
        "mediaType": "kind",
        "digest": DIGEST,
        "size": len(DATA),
        "annotations": {"org.opencontainers.image.ref.name": "a/b:v1"},
    }
    assert json.loads((directory / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert (directory / "blobs/sha256" / DIGEST.removeprefix("sha256:")).read_bytes() == DATA


def test_what_was_cut_off_has_no_name(tmp_path: Path) -> None:
    def pieces() -> Any:
        yield DATA
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"), OciLayout(tmp_path / "new") as layout:
        layout.push_blob("a/b", DIGEST, 6, pieces)
    assert list((tmp_path / "new/blobs/sha256").iterdir()) == []


def test_what_a_killed_run_left_goes(tmp_path: Path) -> None:
    with OciLayout(tmp_path / "new"):
        pass
    (tmp_path / "new/blobs/sha256/.drkit-abc").write_bytes(b"half")
    with OciLayout(tmp_path / "new"):
        assert list((tmp_path / "new/blobs/sha256").iterdir()) == []
        with pytest.raises(ConfigError, match="another drkit"), OciLayout(tmp_path / "new"):
            pass


def test_looking_writes_nothing(tmp_path: Path) -> None:
    with OciLayout(tmp_path / "new", look_only=True) as layout:
        assert not layout.has_blob("a/b", DIGEST)
    assert not (tmp_path / "new").exists()


def test_a_directory_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is no OCI layout"), OciLayout(tmp_path):
        pass
