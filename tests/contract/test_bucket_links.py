"""A plain registry in a bucket: its links say what must be there, and what it does not serve is told."""

from __future__ import annotations

import json
from pathlib import Path

from drkit.blobs import dangling, digests
from drkit.blobs.bucket.capture import BucketCapture
from drkit.blobs.bucket.closure import BucketProver
from drkit.blobs.dangling import Known
from drkit.blobs.ends import Ends
from drkit.blobs.link_spool import LinkSpool
from drkit.blobs.survey import ARTIFACTS
from drkit.blobs.vault.object_lock import Locking
from drkit.model import BucketPlace
from drkit.progress import silent
from drkit.registry import links, storage
from drkit.tools.s3.bucket import Bucket
from tests import buckets, plain


def fill(source: Bucket) -> dict[str, str]:
    """Put a registry into a bucket: what is served, and what is not."""

    def blob(data: bytes) -> str:
        source.put(f"root/{storage.blob_name(plain.sha256(data))}", data)
        return plain.sha256(data)

    def link(path: str, digest: str) -> None:
        source.put(f"root/{path}", digest.encode())

    def image(tag: str, layer: str, *, bytes_too: bool = True) -> str:
        described = {"mediaType": plain.LAYER, "digest": layer, "size": 5}
        data = json.dumps({"layers": [described], "annotations": {"tag": tag}}).encode()
        digest = blob(data) if bytes_too else plain.sha256(data)
        revision, _ = links.of_manifest("app", digest)
        link(revision, digest)
        link(links.of_tag("app", tag), digest)
        return digest

    layer = blob(b"layer")
    link(links.of_manifest("app", layer)[1], layer)
    served = image("v1", layer)
    collected = plain.sha256(b"collected")
    link(links.of_manifest("app", collected)[1], collected)
    lost = image("lost", layer, bytes_too=False)
    link(links.of_tag("app", "gone"), plain.sha256(b"whose revision is gone"))
    never = plain.sha256(b"never pushed")
    children = [{"mediaType": plain.IMAGE, "digest": digest, "size": 1} for digest in (served, never)]
    index = blob(json.dumps({"manifests": children}).encode())
    link(links.of_manifest("app", index)[0], index)
    return {"layer": layer, "v1": served, "lost": lost, "never": never, "index": index}


def test_what_a_bucket_does_not_serve_is_told_and_recorded(s3: buckets.Service, tmp_path: Path) -> None:
    listed = tmp_path / digests.FILE_NAME
    with Bucket(s3.bucket()) as source, Bucket(s3.bucket(versions=True)) as vault:
        names = fill(source)
        ends = Ends(
            source, BucketPlace(source.access.bucket, "root"), vault, BucketPlace(vault.access.bucket, "kept")
        )
        capture = BucketCapture(ends, tmp_path, lambda: (), Locking(versioned=True), silent)
        spool = LinkSpool(tmp_path)
        assert b"".join(capture.link_pieces(spool.notice))
        capture.copy()
        spool.write(listed, tmp_path / ARTIFACTS)
        proof = BucketProver(ends, capture, tmp_path, tmp_path / "memory.db").prove_by_links(spool, listed)
    proof.raise_if_torn()
    assert proof.closure.whole
    assert proof.closure.manifests is not None
    assert proof.closure.manifests.whole
    required = [digest for digest, _ in digests.from_file(listed)]
    assert required == sorted(names[name] for name in ("layer", "v1", "index"))
    assert sorted(proof.closure.dangling_names) == sorted(
        [
            "tag app:gone",
            "tag app:lost",
            f"manifest app@{names['lost']}",
            f"app@{names['never']}, which the index {names['index']} lists",
        ]
    )
    known = Known(dangling.from_lines([(tmp_path / dangling.FILE_NAME).read_bytes()]))
    assert known.tag("app", "gone")
    assert not known.tag("app", "v1")
