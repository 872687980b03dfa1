"""A vault as a point needs it: which objects hold its blobs, and reading them."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from drkit import config
from drkit.blobs import inventory
from drkit.blobs.ends import below, place_of_vault
from drkit.blobs.inventory import Entry
from drkit.blobs.opening import open_bucket
from drkit.blobs.vault import damage, leases
from drkit.blobs.vault.leases import Work
from drkit.errors import BucketFailed, BucketRefused, ConfigError, ObjectMissing, RestoreDamaged, ToolFailed
from drkit.model import Bucketed, BucketPlace, PointManifest, utc_now
from drkit.registry import storage
from drkit.state.directory import State, new_id
from drkit.tools.process import stopping
from drkit.tools.restic.repository import Repository
from drkit.tools.s3.bucket import Bucket

log = logging.getLogger(__name__)

# So many small blobs are under way at once: over a network most of their time is waiting.
WORKERS = 64
_HINT = "restore from another point"


class Copy(NamedTuple):
    """An object, or one version of it (None: the one that is there now)."""

    key: str
    version: str | None


class Faults:
    """The digests of blobs that could not be read as they should be; filled by many threads."""

    def __init__(self) -> None:
        self._digests: set[str] = set()
        self._lock = threading.Lock()

    def note(self, digest: str) -> None:
        """One that is gone from the vault, or has other bytes there."""
        with self._lock:
            self._digests.add(digest)

    @property
    def digests(self) -> frozenset[str]:
        """Those that were noted so far."""
        with self._lock:
            return frozenset(self._digests)


@dataclass(frozen=True)
class VaultReader:
    """The open vault that holds the blobs of a point.

    `original` says whether it is the one that the point was backed up into, where its keys and versions hold;
    in a copy of that, another bucket or prefix, a blob is found by its digest alone.
    """

    bucket: Bucket
    place: BucketPlace
    original: bool
    faults: Faults = field(default_factory=Faults)

    def key(self, entry: Entry) -> str:
        """The object that holds a blob."""
        return entry.key if self.original else key_of(self.place, entry.digest)

    def version(self, entry: Entry) -> str | None:
        """The version of it that was made by the backup; None: the one that is there now."""
        return entry.version if self.original else None

    def named(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The entries by the keys and versions that hold here, so that whoever else reads them finds them."""
        if self.original:
            yield from entries
        else:
            yield from (each._replace(key=self.key(each), version=None) for each in entries)

    def copies(self, entry: Entry) -> Iterator[Copy]:
        """Where the bytes of a blob may be: first what the inventory names, then its other versions.

        Those are asked for only when they are. One that hashes right is as good as the one that is named,
        which somebody may have deleted or damaged since.
        """
        key, version = self.key(entry), self.version(entry)
        yield Copy(key, version)
        try:
            for found in self.bucket.listed(key, versions=True):
                tried = found.latest if version is None else found.version == version
                if found.key == key and found.size == entry.size and not found.deleted and not tried:
                    yield Copy(key, found.version)
        except (BucketFailed, BucketRefused):
            # It keeps none, or does not show them.
            return

    def read(self, copy: Copy) -> Iterator[bytes]:
        """The bytes of a blob as the vault has them; nobody has looked at them yet."""
        return self.bucket.read(*copy)


def key_of(place: BucketPlace, digest: str) -> str:
    """The key under which a place in a bucket has a blob."""
    return f"{below(place)}{storage.blob_name(digest)}"


def hashes_right(bucket: Bucket, key: str, digest: str) -> bool | None:
    """Whether the bytes of an object hash to the name of a blob; None where there is no such object."""
    found = hashlib.sha256()
    try:
        for piece in bucket.read(key):
            stopping.stop_if_asked()
            found.update(piece)
    except ObjectMissing:
        return None
    return f"sha256:{found.hexdigest()}" == digest


def same_place(one: BucketPlace, other: BucketPlace) -> bool:
    """Whether both name the same objects."""

    def named(place: BucketPlace) -> tuple[str, str, str]:
        return place.bucket, place.prefix.strip("/"), (place.endpoint or "").rstrip("/")

    return named(one) == named(other)


def elsewhere(place: BucketPlace, manifests: Iterable[PointManifest]) -> str:
    """Where the first point of those has its blobs that has them in another vault; empty where none has."""
    places = (manifest.bucket.vault for manifest in manifests if manifest.bucket)
    return next((found.where for found in places if not same_place(place, found)), "")


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
def opened(settings: config.Config, bucketed: Bucketed, work: Work | None = None) -> Iterator[VaultReader]:
    """The vault of a point, open for reading; raises ConfigError and the bucket's errors.

    With `work` others see by a lease that it is read, so that no expire removes anything meanwhile.
    """
    vault = vault_for(settings, bucketed)
    place = place_of_vault(vault)
    with contextlib.ExitStack() as stack:
        bucket = stack.enter_context(open_bucket(vault))
        shelf = VaultReader(bucket, place, same_place(place, bucketed.vault))
        if work is not None:
            run, machine = new_id(utc_now()), State(settings.site.state).machine
            stack.enter_context(leases.reading(bucket, place, run, work, machine))
            stack.callback(_remember, shelf, run, work)
        yield shelf


def _remember(shelf: VaultReader, run: str, work: Work) -> None:
    """Write down what was found wrong, so that the next backup copies it again."""
    try:
        damage.remember(shelf.bucket, shelf.place, run, work, shelf.faults.digests)
    except ToolFailed as error:
        log.warning("what is damaged in the vault cannot be written down there: %s", error.message)


def lines_for(place: BucketPlace, repository: Repository, manifest: PointManifest) -> Iterable[bytes]:
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
        if not storage.is_digest(entry.digest):
            raise RestoreDamaged(f"the inventory of the vault names no digest: {entry.digest!r}", hint=_HINT)
        if entry.digest <= last:
            raise RestoreDamaged(f"the inventory of the vault is not sorted at {entry.digest}", hint=_HINT)
        last = entry.digest
        yield entry
