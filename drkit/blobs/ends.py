"""The two ends of a copying: the registry's bucket and the vault, and what stands where in each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from drkit import config
from drkit.blobs.opening import open_bucket
from drkit.model import BucketPlace
from drkit.registry import metadata_database, storage
from drkit.tools.s3.bucket import Bucket


@dataclass(frozen=True)
class Ends:
    """The bucket of the registry and the vault, open, and where in each the tree stands (`root/`, or "")."""

    source: Bucket
    source_place: BucketPlace
    vault: Bucket
    vault_place: BucketPlace

    @property
    def blobs(self) -> str:
        """The prefix of the source's blobs."""
        return f"{below(self.source_place)}{storage.BLOBS}/sha256/"

    @property
    def links(self) -> str:
        """The prefix of the source's links."""
        return f"{below(self.source_place)}{storage.REPOSITORIES}/"

    @property
    def kept(self) -> str:
        """The prefix of the vault's blobs."""
        return f"{below(self.vault_place)}{storage.BLOBS}/sha256/"


def below(place: BucketPlace) -> str:
    """What a key below a place begins with."""
    return f"{place.prefix}/" if place.prefix else ""


def drkits_own(place: BucketPlace) -> str:
    """What the keys of drkit's own objects in a vault begin with."""
    return f"{below(place)}drkit/"


@contextlib.contextmanager
def opened(source: config.BucketBlobs, vault: config.Vault) -> Iterator[Ends]:
    """Both ends of a site's backup, ready to be used."""
    with open_bucket(source) as registry, open_bucket(vault) as kept:
        yield Ends(registry, place_of_blobs(source), kept, place_of_vault(vault))


def refuse_metadata_database(source: Bucket, place: BucketPlace) -> None:
    """Raise NotSupported where the registry in a bucket keeps its tags and manifests in PostgreSQL."""
    top = below(place)
    metadata_database.refuse_tree(place.where, lambda name: source.first(f"{top}{name}") is not None)


def place_of_blobs(blobs: config.BucketBlobs) -> BucketPlace:
    """Where a registry has its blobs, for the manifest."""
    return BucketPlace(blobs.bucket, blobs.root, blobs.endpoint, blobs.region)


def place_of_vault(vault: config.Vault) -> BucketPlace:
    """Where they are kept, for the manifest."""
    return BucketPlace(vault.bucket, vault.prefix, vault.endpoint, vault.region)
