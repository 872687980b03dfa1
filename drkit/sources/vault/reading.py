"""A vault as a point needs it: which objects hold its blobs, and reading them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from drkit import config
from drkit.errors import ConfigError, RestoreDamaged
from drkit.harbor import storage
from drkit.model import Bucketed, BucketPlace, Manifest
from drkit.sources.bucket import inventory
from drkit.sources.bucket.ends import below, place_of_vault
from drkit.sources.bucket.inventory import Entry
from drkit.sources.bucket.opening import open_bucket
from drkit.tools.restic import Repository
from drkit.tools.s3 import Bucket

# So many small blobs are under way at once: over a network most of their time is waiting.
WORKERS = 64
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HINT = "restore from another point"


@dataclass(frozen=True)
class Shelf:
    """The open vault that holds the blobs of a point.

    `original` says whether it is the one that the point was backed up into, where its keys and versions hold;
    in a copy of that, another bucket or prefix, a blob is found by its digest alone.
    """

    bucket: Bucket
    place: BucketPlace
    original: bool

    def key(self, entry: Entry) -> str:
        """The object that holds a blob."""
        return entry.key if self.original else key_of(self.place, entry.digest)

    def version(self, entry: Entry) -> str | None:
        """The version of it that was made by the backup; None: the one that is there now."""
        return entry.version if self.original else None

    def read(self, entry: Entry) -> Iterator[bytes]:
        """The bytes of a blob as the vault has them; nobody has looked at them yet."""
        return self.bucket.read(self.key(entry), self.version(entry))


def key_of(place: BucketPlace, digest: str) -> str:
    """The key under which a place in a bucket has a blob."""
    return f"{below(place)}{storage.blob_name(digest)}"


def same_place(one: BucketPlace, other: BucketPlace) -> bool:
    """Whether both name the same objects."""

    def named(place: BucketPlace) -> tuple[str, str, str]:
        return place.bucket, place.prefix.strip("/"), (place.endpoint or "").rstrip("/")

    return named(one) == named(other)


def vault_for(settings: config.Config, bucketed: Bucketed) -> config.Vault:
    """The configured vault; raises ConfigError, saying where the point has its blobs, where there is none."""
    if settings.vault is not None:
        return settings.vault
    place = bucketed.vault
    keys = [f'bucket = "{place.bucket}"']
    keys += [f'endpoint = "{place.endpoint}"'] if place.endpoint else []
    keys += [f'region = "{place.region}"'] if place.region else []
    keys += [f'prefix = "{place.prefix}"'] if place.prefix else []
    raise ConfigError(
        f"the image blobs of this point are in the vault {place.where}, and the configuration has no [vault]",
        hint=f"write [vault] with {', '.join(keys)} and a credentials_file that may read it",
    )


@contextlib.contextmanager
def opened(settings: config.Config, bucketed: Bucketed) -> Iterator[Shelf]:
    """The vault of a point, open for reading; raises ConfigError and the bucket's errors."""
    vault = vault_for(settings, bucketed)
    place = place_of_vault(vault)
    with open_bucket(vault) as bucket:
        yield Shelf(bucket, place, same_place(place, bucketed.vault))


def entries(repository: Repository, manifest: Manifest) -> Iterator[Entry]:
    """The inventory of a point, as a stream; raises RestoreDamaged where it cannot be what was written."""
    part = manifest.need("inventory", "inventory")
    return checked(inventory.from_lines(repository.read(part.snapshot, part.path)))


def lines_for(place: BucketPlace, repository: Repository, manifest: Manifest) -> Iterable[bytes]:
    """The lines of a point's inventory as they hold at `place`.

    Where that is not (or is called otherwise than) where the point has its blobs, keys are those of the
    digests, and whatever version is there counts.
    """
    part = manifest.need("inventory", "inventory")
    pieces = repository.read(part.snapshot, part.path)
    if manifest.bucket is not None and same_place(place, manifest.bucket.vault):
        return pieces
    found = checked(inventory.from_lines(pieces))
    return inventory.to_lines(each._replace(key=key_of(place, each.digest), version=None) for each in found)


def checked(found: Iterable[Entry]) -> Iterator[Entry]:
    """The entries, of which each is a digest (they become paths) and comes after the one before it."""
    last = ""
    for entry in found:
        if not _DIGEST.fullmatch(entry.digest):
            raise RestoreDamaged(f"the inventory of the vault names no digest: {entry.digest!r}", hint=_HINT)
        if entry.digest <= last:
            raise RestoreDamaged(f"the inventory of the vault is not sorted at {entry.digest}", hint=_HINT)
        last = entry.digest
        yield entry
