"""Faults in a vault: each trial has a copy of it in a bucket of its own."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

from testenv import buckets
from testenv.planted import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from random import Random

    from testenv.buckets import Storage
    from testenv.planted.home import Home

# What stands below the prefix: the blobs of registries, and drkit's own marks.
_BLOBS = "docker"
_SECTION = """
[vault]
endpoint = "{vault.endpoint}"
bucket = "{vault.bucket}"
prefix = "{vault.prefix}"
region = "{vault.region}"
credentials_file = "{credentials}"
"""


@contextlib.contextmanager
def copied(vault: Storage, name: str) -> Iterator[Storage]:
    """A copy of a vault without its versions, in a bucket of that name at the same service."""
    made = buckets.make(replace(vault, bucket=name))
    try:
        for each in buckets.names(vault):
            buckets.put(made, each, buckets.get(vault, each))
        yield made
    finally:
        buckets.unmake(made)


def use(home: Home, before: Storage, after: Storage) -> None:
    """Let a home's drkit use another bucket for its vault."""
    config = home.top / "drkit.toml"
    config.write_text(config.read_text().replace(f'"{before.bucket}"', f'"{after.bucket}"'))


def section(vault: Storage, credentials: Path) -> str:
    """What a bare host's configuration says of it."""
    buckets.write_credentials(vault, credentials)
    return _SECTION.format(vault=vault, credentials=credentials)


def plant(vault: Storage, kind: str, random: Random) -> tuple[str, str]:
    """Damage one of its blobs or marks; returns the fault and the object's name."""
    found = sorted(name for name in buckets.names(vault) if name.startswith(_BLOBS) == (kind == "vault blob"))
    name, fault = random.choice(found), random.choice(files.FAULTS)
    others = [other for other in found if other != name]
    if fault == "deleted":
        buckets.remove(vault, name)
    else:
        other = buckets.get(vault, random.choice(others)) if others else b""
        buckets.put(vault, name, files.changed(buckets.get(vault, name), fault, other, random))
    return fault, name


def blobs(vault: Storage) -> dict[str, str]:
    """Every blob by name, and the SHA-256 of its bytes."""
    return {f"vault {name}": digest for name, digest in buckets.contents(vault, _BLOBS).items()}
