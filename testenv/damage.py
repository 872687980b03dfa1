"""What can go wrong with a site, done on purpose."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from testenv import buckets, keys
from testenv import site as sites

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from testenv.site import Site


def blob_path(site: Site, digest: str) -> Path:
    """The file that holds a blob's bytes."""
    return site.blobs / blob_name(digest)


def blob_name(digest: str) -> str:
    """What the registry calls a blob's bytes, below its root directory in a bucket as in a file system."""
    algorithm, value = digest.split(":")
    return f"docker/registry/v2/blobs/{algorithm}/{value[:2]}/{value}/data"


def remove_blob(site: Site, digest: str) -> None:
    """Remove a blob's bytes; its links stay."""
    if site.images:
        buckets.remove(site.images, blob_name(digest))
        return
    shutil.rmtree(blob_path(site, digest).parent)


def truncate_blob(site: Site, digest: str, keep: int | None = None) -> None:
    """Cut a blob short: to half, unless told otherwise. The registry serves it with 200 all the same."""
    _rewrite(site, blob_name(digest), lambda old: old[: len(old) // 2 if keep is None else keep])


def flip_byte(site: Site, digest: str, at: int = 0) -> None:
    """Change one byte of a blob: the size stays, the digest does not."""
    _rewrite(site, blob_name(digest), lambda old: old[:at] + bytes([old[at] ^ 0xFF]) + old[at + 1 :])


def empty_link(site: Site, repository: str, digest: str) -> None:
    """Leave a layer's link empty, as a copy of a live tree can."""
    algorithm, value = digest.split(":")
    name = f"docker/registry/v2/repositories/{repository}/_layers/{algorithm}/{value}/link"
    _rewrite(site, name, lambda _: b"")


def orphan_blob(site: Site, content: bytes = b"nobody refers to this") -> str:
    """Store a blob that no row knows of; returns its digest."""
    from testenv.content import digest_of

    digest = digest_of(content)
    if site.images:
        buckets.put(site.images, blob_name(digest), content)
        return digest
    path = blob_path(site, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return digest


def _rewrite(site: Site, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change what stands there in place: a file keeps its owner and its modes."""
    if site.images:
        buckets.put(site.images, name, change(buckets.get(site.images, name)))
    else:
        path = site.blobs / name
        path.write_bytes(change(path.read_bytes()))


def forget_blob_row(site: Site, digest: str) -> None:
    """Delete a row of `blob`, which no foreign key prevents: artifact_blob refers to nothing then."""
    with sites.connect(site) as connection:
        connection.execute("DELETE FROM blob WHERE digest = %s", (digest,))


def replace_secret_key(site: Site, key: str = "a-new-secret-key") -> None:
    """What Harbor's `prepare` does when the file is missing: another key, and no error anywhere."""
    keys.write(site.data / "secret/keys/secretkey", key.encode(), secret=True)


def renew_certificate(site: Site, days: float) -> None:
    """A certificate of the site's CA that is valid for so many more days; negative: it has expired."""
    chain = keys.sign_certificate(site.root, days=days)
    for path in (site.tls / "server.crt", site.data / "secret/cert/server.crt"):
        keys.write(path, chain)


def replace_tls_key(site: Site) -> None:
    """A new private key that does not belong to the certificate."""
    keys.write(site.tls / "server.key", keys.new_rsa_key(), secret=True)


def images_of(site: Site) -> list[tuple[str, str]]:
    """Repository and digest of every artifact, oldest first: something to damage."""
    with sites.connect(site) as connection:
        found = connection.execute("SELECT repository_name, digest FROM artifact ORDER BY id").fetchall()
    return [(repository, digest) for repository, digest in found]


def layers_of(site: Site, digest: str) -> list[str]:
    """The digests of an artifact's layers: no manifest, no configuration."""
    with sites.connect(site) as connection:
        found = connection.execute(
            "SELECT b.digest FROM artifact_blob ab JOIN blob b ON b.digest = ab.digest_blob"
            " WHERE ab.digest_af = %s AND b.content_type ~ '(layer|rootfs.diff)'"
            " ORDER BY b.id",
            (digest,),
        ).fetchall()
    return [row[0] for row in found]
