"""What doctor says of a registry in a bucket and of the vault that keeps it, and who may do what there."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from drkit import config
from drkit.actions.doctor.finding import Finding
from drkit.actions.vault_reliants import reliants_at_hand
from drkit.blobs.ends import (
    below,
    drkits_own,
    place_of_blobs,
    place_of_vault,
    refuse_metadata_database,
)
from drkit.blobs.opening import impatient
from drkit.blobs.vault import damage, repositories, separate
from drkit.blobs.vault.object_lock import Locking, locking_of
from drkit.errors import BucketRefused, ConfigError, DrkitError, NotDeleted, ObjectMissing, ToolFailed
from drkit.model import CLOCK_SKEW, BucketPlace
from drkit.registry import storage
from drkit.tools.s3.bucket import Access, Bucket

_KEY = "AWS_ACCESS_KEY_ID"
_PROBE = "probe"


def look_at_source(blobs: config.BucketBlobs) -> Iterator[Finding]:
    """Look at the registry's end; raises ConfigError, BucketMissing, BucketRefused, else ToolFailed."""
    with Bucket(impatient(blobs)) as source:
        yield _source(source, blobs)
    yield from _in_the_clear("blobs", blobs)


def look_at_vault(
    settings: config.Config, blobs: config.BucketBlobs, vault: config.Vault, now: datetime
) -> Iterator[Finding]:
    """Look at the vault and at who else can reach it; raises as `look_at_source` does, and NotOurs."""
    registrys = impatient(blobs)
    with Bucket(impatient(vault)) as kept:
        yield from _vault(settings, blobs, kept, registrys, now)
    yield from _in_the_clear("vault", vault)
    if (blobs.endpoint, blobs.region) == (vault.endpoint, vault.region):
        said = "it is at the registry's own service, in the same region: one failure may take both"
        yield Finding("vault", "warning", said, "use another region, or another provider")


def look_at_further(
    settings: config.Config, blobs: config.BucketBlobs, repository: config.Repository, now: datetime
) -> Iterator[Finding]:
    """Look at the vault of a further repository, if it has one; raises as `look_at_vault` does."""
    name, own = f"vault of {repository.name}", repository.vault
    if own is None:
        assert settings.vault is not None
        said = f"there is none: without {settings.vault.where} the points in {repository.name} have no images"
        hint = "give it a bucket of its own as [repository.vault]; `drkit copy` fills it"
        yield Finding(name, "warning", said, hint)
        return
    for finding in look_at_vault(settings.alone(repository.name), blobs, own, now):
        yield replace(finding, name=finding.name.replace("vault", name, 1))


def _in_the_clear(name: str, section: config.S3) -> Iterator[Finding]:
    if section.endpoint and section.endpoint.startswith("http://"):
        said = f"what [{name}] sends goes over the network unencrypted"
        yield Finding(name, "warning", said, "use an https:// endpoint")


def _source(source: Bucket, blobs: config.BucketBlobs) -> Finding:
    """That it lists and reads, and that a registry is in it: a wrong root looks like an empty registry."""
    place = place_of_blobs(blobs)
    top = below(place)
    refuse_metadata_database(source, place)
    found = source.first(f"{top}{storage.BLOBS}/")
    if found is None:
        raise ConfigError(
            f"no registry is in {place.where}: nothing stands below {top}{storage.BLOBS}",
            hint="see root in [blobs]: it is the registry's rootdirectory; or nobody has pushed to it yet",
        )
    # It may be gone by now: then another answer has shown that we may read.
    with suppress(ObjectMissing):
        next(source.read(found.key), b"")
    return Finding("blobs", "ok", f"{place.where}, can be listed and read")


def _vault(
    settings: config.Config, blobs: config.BucketBlobs, kept: Bucket, registrys: Access, now: datetime
) -> Iterator[Finding]:
    """That it can be read, written and tidied, who else can, and what protects what is in it."""
    vault = settings.vault
    assert vault is not None
    place = place_of_vault(vault)
    kept.first(f"{below(place)}{storage.BLOBS}/")
    yield from _reliance(settings, kept, place)
    probe, nonce = f"{drkits_own(place)}{_PROBE}", secrets.token_hex(16)
    version = kept.put(probe, f"drkit looks whether it may write here {nonce}\n".encode())
    try:
        with Bucket(registrys) as source:
            separate.refuse_same(source, place_of_blobs(blobs), kept, place, (probe, nonce))
    except DrkitError:
        # Also where the registry's end does not answer: the probe must not stay.
        _deletes(kept, probe, version)
        raise
    others = _who_else(kept.access, registrys, probe, version)
    if _deletes(kept, probe, version):
        yield Finding("vault", "ok", f"{place.where}, can be listed, written and read")
    else:
        said = f"{place.where} accepts objects, but does not let drkit delete them ({probe} stays)"
        yield Finding("vault", "warning", said, "expire cannot remove from it what no point needs any more")
    if others:
        yield Finding("vault", "warning", others, "give the vault credentials of its own")
    yield from _clock(kept)
    yield from (Finding("vault", "problem", each.sentence) for each in damage.remembered(kept, place))
    yield from _protection(vault, locking_of(kept, settings, now), now)


def _reliance(settings: config.Config, kept: Bucket, place: BucketPlace) -> Iterator[Finding]:
    """Who else relies on the vault; raises NotOurs where a backup would be refused."""
    assert settings.vault is not None
    records = repositories.recorded(kept, place)
    if not records:
        return
    ours = reliants_at_hand(settings, records)
    repositories.refuse_foreign(records, ours, place, shared=settings.vault.shared)
    for each in repositories.foreign(records, ours):
        said = f"{each.reliant} relies on it too: `expire` removes nothing while it is not configured here"
        hint = f"`drkit expire --forget-repository {each.reliant.id[:16]}` if it is gone for good"
        yield Finding("vault", "warning", said, hint)


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
        return "both buckets have the same credentials: whoever has them can delete both"
    theirs = replace(vaults, credentials=registrys.credentials, profile=registrys.profile)
    # A service that does not know them answers in many ways; what counts is whether it obeys.
    with Bucket(theirs) as same, suppress(ToolFailed):
        if _deletes(same, probe, version):
            return "the credentials of [blobs] may delete in the vault, too"
    return ""


def _clock(vault: Bucket) -> Iterator[Finding]:
    """Whether the clocks of the service and of this machine differ: locks end by the one of the service."""
    if abs(vault.ahead) > CLOCK_SKEW:
        ahead = "ahead of" if vault.ahead > timedelta(0) else "behind"
        minutes = abs(vault.ahead) // timedelta(minutes=1)
        said = f"the clock of its service is {minutes} minutes {ahead} this machine's"
        yield Finding("vault", "problem", said, "set this machine's clock, or tell the service's operator")


def _protection(vault: config.Vault, locking: Locking, now: datetime) -> Iterator[Finding]:
    if not locking.versioned:
        said = "it keeps no versions: what is overwritten or deleted there is lost"
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
        yield Finding(
            "vault's locks", "warning", said, "a bucket gets it when it is created; see docs/buckets.md"
        )
