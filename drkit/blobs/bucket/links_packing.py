"""The links of a registry in a bucket, packed into one tar: millions of tiny objects, without reading most.

What a link holds is known from its name, and whether it does from its ETag, the MD5 of a small object. Only
where a server's ETags are something else (encryption with keys of one's own), or a link holds something else,
is it read.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from drkit.blobs.bucket.links_archive import Link, is_link
from drkit.errors import ObjectMissing
from drkit.registry import links
from drkit.tools.parallel import in_order
from drkit.tools.s3.bucket import Object

_READERS = 64
# No link is longer; what is, is something else, and is not packed.
LONGEST = 256
_TAG = re.compile(r"(?P<tag>.*/_manifests/tags/[^/]+)/(?:current/link|index/sha256/[0-9a-f]{64}/link)$")


@dataclass(frozen=True, slots=True)
class _Seen:
    """A link of a listing, with what it holds where that is known already."""

    name: str
    found: Object
    held: bytes | None


class Packer:
    """Packs what a listing has below `root` of a bucket; `read` gets an object's bytes by its key."""

    def __init__(self, root: str, read: Callable[[str], bytes], tally: links.LinkCount) -> None:
        self._start = len(f"{root}/") if root else 0
        self._read = read
        self._tally = tally

    def pieces(
        self, listed: Iterable[Object], notice: Callable[[str, str], object] = lambda _path, _held: None
    ) -> Iterator[bytes]:
        """The archive as a stream, links in the listing's order.

        `notice` is told of each one's path, and what it holds.
        """
        size = 0
        for link in self.links(listed):
            notice(link.name, link.held.decode("utf-8", "replace"))
            piece = _packed(link)
            size += len(piece)
            yield piece
        # As tar ends an archive: two empty blocks, and up to a whole record.
        end = 2 * tarfile.BLOCKSIZE
        yield bytes(end + -(size + end) % tarfile.RECORDSIZE)

    def links(self, listed: Iterable[Object]) -> Iterator[Link]:
        """Every link of a listing with what it holds; one that vanishes meanwhile is passed over."""
        for to_read, run in groupby(self._known(listed), key=lambda seen: seen.held is None):
            found = self._each(run, to_read=to_read)
            yield from (link for link in found if link is not None)

    def _each(self, seen: Iterable[_Seen], *, to_read: bool) -> Iterator[Link | None]:
        # To start a thread's work takes longer than all the rest: only what is waited for is worth it.
        return in_order(seen, self._whole, _READERS) if to_read else map(self._whole, seen)

    def _known(self, listed: Iterable[Object]) -> Iterator[_Seen]:
        """What a listing alone tells; the links of a tag together, since its current one is among them."""
        for _, group in groupby(self._links_of(listed), key=lambda each: _group(each[0])):
            yield from self._of_group(list(group))

    def _links_of(self, listed: Iterable[Object]) -> Iterator[tuple[str, Object]]:
        for found in listed:
            path = found.key[self._start :]
            if is_link(path):
                self._tally.look(path, found.size)
                if found.size <= LONGEST:
                    yield path, found

    def _of_group(self, group: list[tuple[str, Object]]) -> Iterator[_Seen]:
        digests: dict[str, bytes] | None = None
        for path, found in group:
            digest = links.digest_in(path)
            if digest is not None:
                held = digest.encode()
                yield _Seen(path, found, held if md5(held) == found.etag else None)
                continue
            if digests is None:
                every = filter(None, (links.digest_in(other) for other, _ in group))
                digests = {md5(each.encode()): each.encode() for each in every}
            yield _Seen(path, found, digests.get(found.etag))

    def _whole(self, seen: _Seen) -> Link | None:
        held = seen.held
        if held is None:
            try:
                held = self._read(seen.found.key)
            except ObjectMissing:
                return None
        return Link(seen.name, held, datetime.fromisoformat(seen.found.modified).timestamp())


def _group(path: str) -> str:
    found = _TAG.match(path)
    return found["tag"] if found else path


def md5(held: bytes) -> str:
    """What the ETag of so small an object is, where its server does as most do."""
    return hashlib.md5(held, usedforsecurity=False).hexdigest()


def _packed(link: Link) -> bytes:
    entry = tarfile.TarInfo(link.name)
    entry.size, entry.mode, entry.mtime = len(link.held), 0o644, int(link.modified)
    padding = bytes(-len(link.held) % tarfile.BLOCKSIZE)
    return entry.tobuf(tarfile.PAX_FORMAT) + link.held + padding
