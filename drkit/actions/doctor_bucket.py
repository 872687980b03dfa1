"""What doctor says of a registry in a bucket and of the vault that keeps it, and who may do what there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from drkit import config
from drkit.actions.finding import Finding
from drkit.errors import BucketRefused, ConfigError, NotDeleted, ObjectMissing, ToolFailed
from drkit.harbor import storage
from drkit.sources.bucket.ends import below, place_of_blobs, place_of_vault
from drkit.sources.bucket.opening import access
from drkit.sources.vault import marks as vault_marks
from drkit.sources.vault.locking import Locking, locking_of
from drkit.tools.s3 import Access, Bucket

# A person waits: what does not answer soon is said not to.
_ATTEMPTS = 3
_KEY = "AWS_ACCESS_KEY_ID"
_PROBE = "drkit/probe"


def look_at_source(blobs: config.BucketBlobs) -> Iterator[Finding]:
    """Look at the registry's end; raises ConfigError, BucketMissing, BucketRefused, else ToolFailed."""
    with Bucket(_access(blobs)) as source:
        yield _source(source, blobs)
    yield from _in_the_clear("blobs", blobs)


def look_at_vault(
    settings: config.Config, blobs: config.BucketBlobs, vault: config.Vault, now: datetime
) -> Iterator[Finding]:
    """Look at the vault and at who else can reach it; raises as `look_at_source` does, and NotOurs."""
    registrys = _access(blobs)
    with Bucket(_access(vault)) as kept:
        yield from _vault(settings, vault, kept, registrys, now)
    yield from _in_the_clear("vault", vault)
    if (blobs.endpoint, blobs.region) == (vault.endpoint, vault.region):
        said = "it is at the registry's own service, in the same region: what takes one may take both"
        yield Finding("vault", "warning", said, "use another region, or another provider")


def _access(section: config.S3) -> Access:
    return replace(access(section), attempts=_ATTEMPTS)


def _in_the_clear(name: str, section: config.S3) -> Iterator[Finding]:
    if section.endpoint and section.endpoint.startswith("http://"):
        said = f"what [{name}] sends goes over the network in the clear"
        yield Finding(name, "warning", said, "name its endpoint by https://")


def _source(source: Bucket, blobs: config.BucketBlobs) -> Finding:
    """That it lists and reads, and that a registry is in it: a wrong root looks like an empty registry."""
    place = place_of_blobs(blobs)
    top = below(place)
    found = source.first(f"{top}{storage.BLOBS}/")
    if found is None:
        raise ConfigError(
            f"no registry is in {place.where}: nothing stands below {top}{storage.BLOBS}",
            hint="see root in [blobs]: it is the registry's rootdirectory; or nobody has pushed to it yet",
        )
    # It may be gone by now: then another answer has shown that we may read.
    with suppress(ObjectMissing):
        next(source.read(found.key), b"")
    return Finding("blobs", "ok", f"{place.where}, lists and reads")


def _vault(
    settings: config.Config, vault: config.Vault, kept: Bucket, registrys: Access, now: datetime
) -> Iterator[Finding]:
    """That it can be read, written and tidied, who else can, and what protects what is in it."""
    place = place_of_vault(vault)
    kept.first(f"{below(place)}{storage.BLOBS}/")
    vault_marks.check_owner(vault_marks.owner_of(kept, place), place, settings.site.name)
    probe = f"{below(place)}{_PROBE}"
    version = kept.put(probe, b"drkit looks whether it may write here\n")
    others = _who_else(kept.access, registrys, probe, version)
    if _deletes(kept, probe, version):
        yield Finding("vault", "ok", f"{place.where}, lists, takes and gives back")
    else:
        said = f"{place.where} takes, and does not let drkit delete ({probe} stays)"
        yield Finding("vault", "warning", said, "expire cannot remove from it what no point needs any more")
    if others:
        yield Finding("vault", "warning", others, "let the vault have credentials that nothing else knows")
    yield from _protection(vault, locking_of(kept, settings, now), now)


def _deletes(vault: Bucket, key: str, version: str | None) -> bool:
    """Delete one version of an object; whether the service has let us."""
    try:
        vault.delete([(key, version)])
    except (NotDeleted, BucketRefused):
        return False
    return True


def _who_else(vaults: Access, registrys: Access, probe: str, version: str | None) -> str:
    """Whether what reads the registry's bucket could delete in the vault as well; empty if it could not."""
    if (vaults.credentials.get(_KEY), vaults.profile) == (registrys.credentials.get(_KEY), registrys.profile):
        return "the same credentials open both ends: whoever has them can delete both"
    theirs = replace(vaults, credentials=registrys.credentials, profile=registrys.profile)
    # A service that does not know them answers in many ways; what counts is whether it obeys.
    with Bucket(theirs) as same, suppress(ToolFailed):
        if _deletes(same, probe, version):
            return "the credentials of [blobs] may delete in the vault, too"
    return ""


def _protection(vault: config.Vault, locking: Locking, now: datetime) -> Iterator[Finding]:
    if not locking.versioned:
        said = "it keeps no versions: what is written over or deleted there is gone"
        yield Finding("vault", "warning", said, "turn the bucket's versioning on, best with Object Lock")
    if locking.needed_until is not None:
        days = round((locking.needed_until - now) / timedelta(days=1))
        said = f"in {locking.mode} mode, for at least {days} days after the last backup that needs a blob"
        yield Finding("vault's locks", "ok", said)
    elif vault.lock == "none":
        said = "lock in [vault] is none: whoever may delete in it can delete all that it keeps"
        yield Finding("vault's locks", "warning", said)
    else:
        said = "the bucket has no Object Lock: whoever may delete in it can delete all that it keeps"
        yield Finding("vault's locks", "warning", said, "a bucket gets it when it is made; see the README")
