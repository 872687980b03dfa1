"""How many links there are and what they hold, of two streams in different orders: are they the same?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from drkit.blobs.bucket import links_archive, links_packing
from drkit.blobs.bucket.links_archive import Link
from drkit.blobs.bucket.links_packing import Packer
from drkit.registry import links
from drkit.tools.s3.bucket import Bucket, Object


class LinkChecksum(NamedTuple):
    """How many links there are, and an order-free hash of their names and contents: two streams compared.

    A directory's snapshot gives names in another order than a bucket does.
    """

    links: int
    hash: int

    @classmethod
    def of(cls, found: Iterable[tuple[str, bytes]]) -> LinkChecksum:
        """Count them all."""
        count = total = 0
        for name, held in found:
            text = f"{len(held)} {name} ".encode("utf-8", "surrogateescape")
            digest = hashlib.blake2b(text + held, digest_size=16)
            total = (total + int.from_bytes(digest.digest())) % (1 << 128)
            count += 1
        return cls(count, total)

    @classmethod
    def of_bucket(cls, bucket: Bucket, root: str, listed: Iterable[Object]) -> LinkChecksum:
        """The same of what a listing has; what its ETags do not tell is read."""
        start = len(f"{root}/") if root else 0
        long: list[tuple[str, bytes]] = []

        def short() -> Iterator[Object]:
            for each in listed:
                if each.size <= links_packing.LONGEST:
                    yield each
                elif links_archive.is_link(each.key[start:]):
                    long.append((each.key[start:], _size(each.size)))

        found = Packer(root, bucket.read_small, links.LinkCount()).links(short())
        return cls.of(chain(((link.name, link.held) for link in found), long))

    @classmethod
    def of_links(cls, wanted: Iterable[Link]) -> LinkChecksum:
        """The same of links that are to be there; what is too long for a link counts by its size."""
        return cls.of(
            (link.name, link.held if len(link.held) <= links_packing.LONGEST else _size(len(link.held)))
            for link in wanted
        )


def _size(size: int) -> bytes:
    return f"{size} bytes".encode()
