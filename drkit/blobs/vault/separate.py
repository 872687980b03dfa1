"""Proof that a vault is not the bucket that it protects, whatever the two are called.

Addresses prove nothing: a host has several names, and a bucket may have an alias. So something that was
written at the vault's end a moment ago must not be seen at the registry's end. Nothing is written there.
"""

from __future__ import annotations

from drkit.blobs.ends import below
from drkit.errors import BucketRefused, ConfigError, ObjectMissing
from drkit.model import BucketPlace
from drkit.registry import storage
from drkit.tools.s3.bucket import Bucket


def refuse_same(
    source: Bucket, source_place: BucketPlace, vault: Bucket, place: BucketPlace, written: tuple[str, str]
) -> None:
    """Raise ConfigError where the end that is copied from has what was written at the vault's end.

    `written` is the key of an object in the vault, and a nonce that is in it and nowhere else.
    """
    key, nonce = written
    try:
        same = nonce.encode() in source.read_small(key)
    except ObjectMissing:
        return
    except BucketRefused:
        # These credentials may read nothing there but the registry's own tree: asked the other way round.
        same = _has_blob_of(source, source_place, vault)
    if same:
        raise ConfigError(
            f"the vault is the bucket that it protects: what drkit writes to {place.where} is in"
            f" {source_place.where}",
            hint="use another bucket, best in another account, region or at another provider",
        )


def _has_blob_of(source: Bucket, source_place: BucketPlace, vault: Bucket) -> bool:
    """Whether the vault's end has an object of the registry's under the very same key, as old as that.

    Where the vault's credentials may not even read that key, they cannot delete it either.
    """
    theirs = source.first(f"{below(source_place)}{storage.BLOBS}/")
    if theirs is None:
        return False
    try:
        found = vault.first(theirs.key)
    except BucketRefused:
        return False
    return found is not None and found[:4] == theirs[:4]
