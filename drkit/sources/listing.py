"""What a captured snapshot holds of a registry: its blobs and its links, as restic lists them.

A restic walks about twenty thousand blobs a second with one processor, each being a directory of its own;
everything else here is made to take little beside that.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from drkit.errors import SourceChanged
from drkit.harbor import links, storage
from drkit.harbor.closure import Blob
from drkit.sources import digests
from drkit.tools.restic import Repository

_PREFIXES = [f"{number:02x}" for number in range(256)]
_ALL = slice(None)


def captured_blobs(
    repository: Repository, snapshot: str, root: str, share: slice = _ALL
) -> Generator[Blob, None, None]:
    """Digest and size of every blob in a snapshot, sorted by digest, as a stream.

    `share` takes only those whose first byte is in that range.
    """
    parts = () if share == _ALL else _PREFIXES[share]
    for path, size in repository.files(snapshot, f"{root}/{storage.BLOBS}/sha256", *parts):
        digest = storage.digest_of_blob(path)
        if digest:
            yield digest, size


def captured_at_once(
    repository: Repository, snapshot: str, root: str, directory: Path, count: int
) -> Iterator[Blob]:
    """The same by `count` restics side by side.

    One lists everything from the beginning and is ended where the others begin, for the more directories a
    restic is told to look into, the longer it takes (see `Repository.files`). What the others list is kept in
    files until it is their turn.
    """
    if count == 1:
        yield from captured_blobs(repository, snapshot, root)
        return
    size = 256 // (count + 1)
    begins = [256 - number * size for number in range(count - 1, -1, -1)]
    with ThreadPoolExecutor(count) as pool:
        later = []
        for begin in begins[:-1]:
            kept = directory / f"blobs-{begin:02x}.jsonl"
            blobs = captured_blobs(repository, snapshot, root, slice(begin, begin + size))
            later.append((kept, pool.submit(digests.write, kept, blobs)))
        yield from _before(f"sha256:{_PREFIXES[begins[0]]}", captured_blobs(repository, snapshot, root))
        for kept, listing in later:
            listing.result()
            for digest, length in digests.from_file(kept):
                assert length is not None
                yield digest, length
            kept.unlink()


def _before(first: str, blobs: Generator[Blob, None, None]) -> Iterator[Blob]:
    """The blobs before that one; whoever lists them is ended then, and so must have come that far."""
    with contextlib.closing(blobs):
        yield from itertools.takewhile(lambda blob: blob[0] < first, blobs)


def captured_links(
    repository: Repository, snapshot: str, root: str, tally: links.Tally
) -> Iterator[tuple[str, bool]]:
    """Every digest that a layer or revision link of a snapshot is for, and whether it is a revision.

    The tally is told of every link. restic lists the length of a file, not what is in it: that shows empty
    and cut links; the drill reads them. Raises SourceChanged for one that is whole on disk, or gone: it was
    caught while the registry wrote it.
    """
    for path, size in repository.files(snapshot, f"{root}/{storage.REPOSITORIES}"):
        if path.endswith("/link"):
            _look(path, size, root, tally)
            digest = storage.digest_of_link(path)
            if digest:
                yield digest, "/_manifests/revisions/" in path


def captured_tree(
    repository: Repository, snapshot: str, root: str, tally: links.Tally
) -> Generator[Blob, None, None]:
    """The blobs as `captured_blobs` has them; once they are through, the tally is told of every link.

    One restic for both: starting a second one takes half a second of a processor, for it derives the key of
    the repository anew. Raises as `captured_links` does.
    """
    for path, size in repository.files(snapshot, f"{root}/{storage.TREE}"):
        digest = storage.digest_of_blob(path)
        if digest:
            yield digest, size
        elif path.endswith("/link"):
            _look(path, size, root, tally)


def _look(path: str, size: int, root: str, tally: links.Tally) -> None:
    name = path.removeprefix(f"{root}/")
    if not tally.look(name, size) and not links.is_damaged(Path(root), name):
        raise SourceChanged(
            f"a link was being written while it was read: {name}",
            hint="run the backup again, when less is pushed",
        )
