"""The bucket that a sandbox's registry reads: what clients of S3 ask of it, and what nobody gets."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from drkit.blobs import inventory
from drkit.blobs.inventory import Entry
from drkit.blobs.vault import fetching
from drkit.blobs.vault.data import VaultData
from drkit.blobs.vault.reading import VaultReader, key_of
from drkit.checks import images
from drkit.model import BucketPlace, Outcome
from drkit.progress import Meter, silent
from drkit.registry import links, storage
from drkit.registry.ledger import Ledger
from drkit.registry.storage import Tag
from drkit.sandbox import registry
from drkit.sandbox.s3 import bucket
from drkit.sandbox.s3.bucket import TreeBucket
from drkit.tools.s3.bucket import Bucket
from tests.buckets import Service

LAYER = random.Random("layer").randbytes(3 << 20)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


CONFIG = b"{}"
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/x", "digest": digest_of(CONFIG), "size": len(CONFIG)},
        "layers": [
            {"mediaType": "application/y", "digest": digest_of(data), "size": len(data)}
            for data in (LAYER, b"")
        ],
    }
).encode()
BLOBS = (LAYER, CONFIG, MANIFEST, b"")


@dataclass(frozen=True)
class Shown:
    """A tree with an image whose blobs are in a vault, and the bucket that shows it."""

    root: Path
    vault: Bucket
    place: BucketPlace
    bucket: TreeBucket

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.bucket.settings["s3"])

    def api(self, **other: str) -> Any:
        """A client of S3, with other credentials if wished."""
        keys = {"aws_access_key_id": self.settings["accesskey"], "aws_secret_access_key": "x"} | other
        endpoint = self.settings["regionendpoint"]
        return boto3.session.Session(region_name="us-east-1", **keys).client("s3", endpoint_url=endpoint)


@pytest.fixture
def shown(s3: Service, tmp_path: Path) -> Iterator[Shown]:
    place, root = BucketPlace("vault", "kept"), tmp_path / "root"
    with Bucket(s3.bucket(versions=True)) as vault:
        for data in BLOBS:
            vault.put(key_of(place, digest_of(data)), data)
        shelf = VaultReader(vault, place, original=False)
        entries = sorted(Entry(digest_of(data), "", len(data)) for data in BLOBS)
        listed = tmp_path / "inventory.jsonl"
        listed.write_bytes(b"".join(inventory.to_lines(entries)))
        root.mkdir()
        fetched = fetching.fetch(shelf, entries, root, Meter(silent, "x", None), bare=lambda _d, _v: None)
        assert (fetched.blobs, fetched.bad) == (4, 0)
        write_links(root)
        with closing(VaultData(shelf, listed)) as found, bucket.serving(root, found) as served:
            yield Shown(root, vault, place, served)


def write_links(root: Path) -> None:
    """What a registry has of an image by tag."""
    found = {links.of_tag("library/one", "v1"): digest_of(MANIFEST)}
    found[links.of_manifest("library/one", digest_of(MANIFEST))[0]] = digest_of(MANIFEST)
    for data in (LAYER, CONFIG, b""):
        found[links.of_manifest("library/one", digest_of(data))[1]] = digest_of(data)
    for name, held in found.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(held)


def test_a_registry_serves_it(shown: Shown, tmp_path: Path) -> None:
    """Every byte of an image, of which no more than its manifest is on the disk."""
    taken = sum(path.stat().st_blocks * 512 for path in shown.root.rglob("data"))
    assert taken < 1 << 20
    with (
        registry.serving(shown.bucket.settings, tmp_path) as address,
        closing(Ledger(tmp_path / "ledger.db")) as ledger,
    ):
        found = images.tags_pull(address, [Tag("library/one", "v1", digest_of(MANIFEST))], ledger)
        assert (found.outcome, found.detail) == (
            Outcome.PASSED,
            "1 tags pulled by digest, whole, 3.0 MiB read through the registry",
        )
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(address)), base_url="http://here") as client:
            assert client.get("/v2/_catalog").json() == {"repositories": ["library/one"]}
            assert client.get("/v2/library/one/tags/list").json()["tags"] == ["v1"]
            kind = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
            assert client.get("/v2/library/one/manifests/v1", headers=kind).content == MANIFEST
            part = client.get(
                f"/v2/library/one/blobs/{digest_of(LAYER)}", headers={"Range": "bytes=1048577-1048600"}
            )
            assert (part.status_code, part.content) == (206, LAYER[1048577:1048601])
            assert client.get(f"/v2/library/one/blobs/{digest_of(b'another')}").status_code == 404
            assert client.post("/v2/library/one/blobs/uploads/").status_code == 405
    assert shown.bucket.gone == ""
    assert (tmp_path / "registry.yml").stat().st_mode & 0o777 == 0o600


def test_only_who_has_its_name_and_key_reads_from_it(shown: Shown) -> None:
    name, key = shown.settings["bucket"], str(storage.blob_name(digest_of(LAYER)))
    assert shown.api().get_object(Bucket=name, Key=key)["Body"].read() == LAYER
    for api, tried in (
        (shown.api(), name[:-1]),
        (shown.api(aws_access_key_id="x"), name),
        (shown.api(aws_access_key_id=shown.settings["secretkey"]), name),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            api.get_object(Bucket=tried, Key=key)
        with pytest.raises(ClientError, match="AccessDenied"):
            api.list_objects_v2(Bucket=tried)
    url = f"{shown.settings['regionendpoint']}/{name}/{key}"
    assert httpx.get(url).status_code == 403


def test_nobody_writes_to_it(shown: Shown) -> None:
    name, key, api = shown.settings["bucket"], str(storage.blob_name(digest_of(LAYER))), shown.api()
    before = {path: path.stat().st_mtime_ns for path in shown.root.rglob("*")}
    with pytest.raises(ClientError, match="MethodNotAllowed"):
        api.put_object(Bucket=name, Key=key, Body=b"x" * (1 << 20))
    with pytest.raises(ClientError, match="MethodNotAllowed"):
        api.delete_object(Bucket=name, Key=key)
    with pytest.raises(ClientError, match="MethodNotAllowed"):
        api.create_multipart_upload(Bucket=name, Key=key)
    assert {path: path.stat().st_mtime_ns for path in shown.root.rglob("*")} == before


def test_what_is_not_there_is_not_found(shown: Shown) -> None:
    name, api = shown.settings["bucket"], shown.api()
    blob = storage.blob_path(shown.root, digest_of(CONFIG))
    blob.unlink()
    for key in (str(storage.blob_name(digest_of(CONFIG))), "docker", "../inventory.jsonl", "etc/passwd"):
        with pytest.raises(ClientError, match="NoSuchKey"):
            api.get_object(Bucket=name, Key=key)
    empty = str(storage.blob_name(digest_of(b"")))
    assert api.get_object(Bucket=name, Key=empty)["Body"].read() == b""
    with pytest.raises(ClientError, match="InvalidRange"):
        api.get_object(Bucket=name, Key=empty, Range="bytes=0-")
    assert api.head_object(Bucket=name, Key=empty)["ContentLength"] == 0


def test_a_blob_that_has_gone_meanwhile_is_told(shown: Shown) -> None:
    name, api = shown.settings["bucket"], shown.api()
    key = str(storage.blob_name(digest_of(CONFIG)))
    where = key_of(shown.place, digest_of(CONFIG))
    shown.vault.delete([(found.key, found.version) for found in shown.vault.listed(where, versions=True)])
    assert api.head_object(Bucket=name, Key=key)["ContentLength"] == len(CONFIG)
    with pytest.raises(ClientError, match="VaultFailed"):
        api.get_object(Bucket=name, Key=key)
    assert shown.bucket.gone == f"the vault does not have {digest_of(CONFIG)}"
