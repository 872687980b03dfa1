"""Drkits of tests whose registry is in a bucket, each with a vault of its own: what a vault has, it has."""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import testenv
from testenv import Site, buckets, registry
from testenv import site as sites
from testenv.buckets import Storage
from tests.e2e import accounts
from tests.e2e.commands import Drkit, clone


def images(site: Site) -> Storage:
    """Where the registry has its images."""
    assert site.images is not None
    return site.images


def with_own_vault(
    original: Drkit, site: Site, home: Path, *, versioned: bool = True, lockable: bool = False
) -> tuple[Drkit, Storage]:
    """A copy of a drkit that has no points yet, and the new and empty bucket that is its vault."""
    assert site.vault is not None
    made = clone(original, home)
    vault = replace(site.vault, bucket=f"drkit-vault-{secrets.token_hex(4)}")
    buckets.make(vault, versioned=versioned, lockable=lockable)
    made.change(lambda document: document["vault"].update(bucket=vault.bucket))
    return made, vault


@contextmanager
def new_bucket(like: Storage, prefix: str = "elsewhere") -> Iterator[Storage]:
    """An empty bucket at the same service, which goes again with all that is in it."""
    made = buckets.make(replace(like, bucket=f"drkit-new-{secrets.token_hex(4)}", prefix=prefix))
    try:
        yield made
    finally:
        buckets.unmake(made)


def served_from(site: Site, blobs: Path | Storage, home: Path) -> dict[str, str]:
    """What a registry over these restored blobs serves for every artifact of the site."""
    for directory in (home, home / "log", home / "run"):
        directory.mkdir(parents=True, exist_ok=True)
    port = sites.on_free_port(lambda port: registry.start(home, blobs, port))
    try:
        return accounts.served(replace(site, registry_port=port))
    finally:
        registry.stop(home)


def bucket_of_blobs(drkit: Drkit, storage: Storage) -> Drkit:
    """Let [blobs] be another bucket; returns the drkit."""
    keys = buckets.write_credentials(storage, drkit.home / f"{storage.bucket}.credentials")
    return drkit.change(
        lambda document: document["blobs"].update(
            bucket=storage.bucket,
            endpoint=storage.endpoint,
            root=storage.prefix,
            credentials_file=str(keys),
        )
    )


def vault_of(drkit: Drkit, site: Site) -> Storage:
    """The vault that a drkit's configuration names."""
    assert site.vault is not None
    section = tomllib.loads(drkit.config.read_text())["vault"]
    return replace(site.vault, bucket=section["bucket"], prefix=section.get("prefix", ""))


def push(site: Site, tag: str) -> str:
    """Push one small image; returns its digest."""
    return testenv.push_image(site, "library", "pushed-meanwhile", tag)
