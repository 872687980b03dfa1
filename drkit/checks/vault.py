"""Checks on what came from a vault: each blob of the inventory was there, and its bytes hash to its name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from drkit.blobs.inventory import Entry
from drkit.blobs.vault import fetching as bucket_restore
from drkit.blobs.vault.fetching import Fetched
from drkit.blobs.vault.reading import Faults, VaultReader
from drkit.checks.finding import Control, Finding, Unplanted, failed, not_provable, passed

_NAMES = 3


def came(fetched: Fetched, where: str) -> Finding:
    """What the fetching of an inventory's blobs came to."""
    if not fetched.bad and not fetched.blobs:
        return not_provable(f"no blob is needed of {where}")
    if not fetched.bad:
        return passed(fetched.describe(where))
    return failed(f"{fetched.bad:,} faults: {'; '.join(fetched.faults[:_NAMES])} ({where})")


def controls(shelf: VaultReader, sample: Entry | None) -> Iterator[Control | Unplanted]:
    """The bytes of a blob under another's name, one that is not there, one that has lost its end.

    The vault itself is only read: what is spoilt is what is asked of it.
    """
    if sample is None:
        reason = "no small blob came from the vault"
        yield from (
            Unplanted(name, reason) for name in ("other bytes in the vault", "blob gone from the vault")
        )
        return
    short = sample.digest[:19]
    # The object of this blob, under the name of one that differs in a digit.
    digit = "0" if sample.digest[-1] != "0" else "1"
    other = sample._replace(digest=sample.digest[:-1] + digit, key=shelf.key(sample))
    gone = sample._replace(key=f"{shelf.key(sample)}-gone", version=None)
    # Keys hold in the vault itself alone; here they are made to hold in a copy of it as well.
    literal = replace(shelf, original=True, faults=Faults())
    if not shelf.original:
        other = other._replace(version=None)
    yield Control(
        "other bytes in the vault", f"those of {short} under another name", lambda: _look(literal, other)
    )
    yield Control(
        "blob gone from the vault", f"{short} under a key that is not there", lambda: _look(literal, gone)
    )


def _look(shelf: VaultReader, entry: Entry) -> Finding:
    fault = bucket_restore.look(shelf, entry)
    return failed(fault) if fault else passed("nothing is wrong with it")
