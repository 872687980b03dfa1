"""Blobs of a vault as files: read in order, from anywhere, and never fewer bytes than there should be."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from drkit.blobs.inventory import Entry
from drkit.errors import ToolFailed
from drkit.sandbox.vault_files import BlobReader

CONTENT = Random("blob").randbytes(10_000)
ENTRY = Entry("sha256:" + 64 * "a", "key", len(CONTENT))


class Vault:
    """Gives the bytes in pieces of no particular size, and counts how often it was asked."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.begun = 0

    def begin(self) -> Iterator[bytes]:
        self.begun += 1
        chance, rest = Random(self.begun), self.content
        while rest:
            count = chance.randint(1, 900)
            yield rest[:count]
            rest = rest[count:]


def test_in_order_it_is_one_stream() -> None:
    vault = Vault(CONTENT)
    reader = BlobReader(ENTRY, vault.begin)
    found = b"".join(reader.read(first, 700) for first in range(0, 11_000, 700))
    assert (found, vault.begun) == (CONTENT, 1)


def test_from_anywhere() -> None:
    vault, chance = Vault(CONTENT), Random("places")
    reader = BlobReader(ENTRY, vault.begin)
    for _ in range(200):
        first, count = chance.randint(0, 10_100), chance.randint(0, 2000)
        assert reader.read(first, count) == CONTENT[first : first + count]
    reader.close()


def test_what_has_become_shorter_is_no_end() -> None:
    reader = BlobReader(ENTRY, Vault(CONTENT[:-1]).begin)
    assert reader.read(0, 9000) == CONTENT[:9000]
    with pytest.raises(ToolFailed, match="has fewer bytes in the vault than it had before"):
        reader.read(9000, 1000)
