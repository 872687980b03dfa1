"""Points whose blobs are in a vault: brought back into a directory or a bucket, drilled, verified."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testenv import Site
from tests.bucket_points import Vaulted, into_vault, section
from tests.buckets import Service
from tests.e2e import accounts
from tests.e2e.commands import Drkit, clone, fails
from tests.e2e.conftest import Drilled


@pytest.fixture(scope="module")
def original(drilled: Drilled, site: Site, s3: Service, new_home: Callable[[], Path]) -> Iterator[Vaulted]:
    """Made once; to be read, or to be copied."""
    drkit = clone(drilled.drkit, new_home())
    yield into_vault(drkit, site.blobs, s3)
    shutil.rmtree(drkit.home)


@pytest.fixture
def drkit(original: Vaulted, new_home: Callable[[], Path]) -> Iterator[Drkit]:
    """A drkit of the test's own with that point."""
    made = clone(original.drkit, new_home())
    yield made
    shutil.rmtree(made.home)


def tree(root: Path) -> dict[str, str]:
    """What a registry has: name -> hash of content."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (root / "docker").rglob("*")
        if path.is_file() and "_uploads" not in path.parts
    }


def objects(service: Service, bucket: str, root: str) -> dict[str, str]:
    """The same of a bucket."""
    api, found = service.api(), {}
    for page in api.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for each in page.get("Contents", ()):
            content = api.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            found[each["Key"].removeprefix(f"{root}/")] = hashlib.sha256(content).hexdigest()
    return found


def test_into_a_directory(original: Vaulted, drkit: Drkit, site: Site) -> None:
    root = drkit.home / "root"
    words = ("restore", "latest", "--only", "blobs", "--root", str(root))
    plan = drkit.ask(*words, "--dry-run")
    (step,) = plan["steps"]
    assert step["source"] == original.manifest.bucket.vault.where  # type: ignore[union-attr]
    assert not root.exists()
    result = drkit.ask(*words, "--yes")
    (step,) = result["steps"]
    there = Path(step["target"])
    assert tree(there) == tree(site.blobs)
    assert accounts.files(there / "docker/registry/v2/repositories").keys()
    assert "every byte hashed on the way" in step["verified"]
    assert [path.name for path in there.parent.iterdir()] == [there.name]
    assert any("chown -R 10000:10000" in warning for warning in result["warnings"])


def test_into_a_bucket(original: Vaulted, drkit: Drkit, site: Site, s3: Service) -> None:
    bucket = s3.bucket().bucket
    drkit.change(lambda d: d.update(blobs={"kind": "s3", "root": "harbor"} | section(s3, bucket, drkit.home)))
    words = ("restore", "latest", "--only", "blobs")
    (step,) = drkit.ask(*words, "--dry-run")["steps"]
    assert (step["present"], step["blocked"]) == ("nothing", False)
    (step,) = drkit.ask(*words, "--yes")["steps"]
    assert objects(s3, bucket, "harbor") == tree(site.blobs)
    assert "all listed again" in step["verified"]
    message = (
        rf"the target is not empty: image blobs \(objects, such as harbor/docker/.* at s3://{bucket}/.*\)"
    )
    hint = r"objects cannot be set aside: name another bucket or root in \[blobs\]; nothing was changed"
    fails(drkit, (*words, "--yes", "--replace"), 2, "target_not_empty", message, hint)


def test_a_directory_into_a_bucket(copy: Drkit, site: Site, s3: Service) -> None:
    bucket = s3.bucket().bucket

    def change(document: dict[str, Any]) -> None:
        document["blobs"] = {"kind": "s3"} | section(s3, bucket, copy.home)
        document["vault"] = section(s3, "nowhere", copy.home)

    copy.change(change)
    (step,) = copy.ask("restore", "latest", "--only", "blobs", "--yes")["steps"]
    assert objects(s3, bucket, "") == tree(site.blobs)
    assert "from the repository, every byte hashed before it was to be seen" in step["verified"]
