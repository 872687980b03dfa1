"""What a captured snapshot holds of a registry: its blobs and its links, as restic lists them.

A restic walks about twenty thousand blobs a second with one processor, each being a directory of its own;
everything else here is made to take little beside that.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from drkit.blobs import digests
from drkit.errors import SourceChanged, ToolFailed
from drkit.registry import links, storage
from drkit.registry.closure import Blob
from drkit.tools.restic.output import Node
from drkit.tools.restic.repository import Repository
from drkit.tools.tally import Tally

_PREFIXES = [f"{number:02x}" for number in range(256)]
_ALL = slice(None)
_CALLED = {"symlink": "a symbolic link", "fifo": "a named pipe", "socket": "a socket"}


class Special:
    """What stands in a captured tree and is neither a file nor a directory; several threads may add to it.

    restic stores a link as a link, so what production serves from behind it is not in the snapshot.
    """

    def __init__(self) -> None:
        self._found = Tally[str]()

    def add(self, node: Node) -> None:
        """Remember one."""
        self._found.add(f"{node.path} is {_CALLED.get(node.type, 'a device')}")

    def raise_if_any(self) -> None:
        """Raise ToolFailed, which names them."""
        if self._found:
            raise ToolFailed(
                f"the registry's tree has more than files and directories in it: {self._found}",
                hint=LINK_HINT,
            )


# What to do about a symbolic link.
LINK_HINT = (
    "what is behind a link is not in a backup: put a directory there and mount the link's target on it "
    "(mount --bind), or move the content back"
)


def captured_blobs(
    repository: Repository,
    snapshot: str,
    root: str,
    share: slice = _ALL,
    special: Special | None = None,
) -> Generator[Blob, None, None]:
    """Digest and size of every blob in a snapshot, sorted by digest, as a stream.

    `share` takes only those whose first byte is in that range. `special` is told of what else is there.
    """
    parts = () if share == _ALL else _PREFIXES[share]
    folder = f"{root}/{storage.BLOBS}/sha256"
    for path, size in repository.files(snapshot, folder, *parts, special=_add(special)):
        digest = storage.digest_of_blob(path)
        if digest:
            yield digest, size


def captured_at_once(
    repository: Repository,
    snapshot: str,
    root: str,
    directory: Path,
    count: int,
    special: Special | None = None,
) -> Iterator[Blob]:
    """The same by `count` restics side by side.

    One lists everything from the beginning and is ended where the others begin, for the more directories a
    restic is told to look into, the longer it takes (see `Repository.files`). What the others list is kept in
    files until it is their turn.
    """
    if count == 1:
        yield from captured_blobs(repository, snapshot, root, special=special)
        return
    size = 256 // (count + 1)
    begins = [256 - number * size for number in range(count - 1, -1, -1)]
    with ThreadPoolExecutor(count) as pool:
        later = []
        for begin in begins[:-1]:
            kept = directory / f"blobs-{begin:02x}.jsonl"
            blobs = captured_blobs(repository, snapshot, root, slice(begin, begin + size), special)
            later.append((kept, pool.submit(digests.write, kept, blobs)))
        first = captured_blobs(repository, snapshot, root, special=special)
        yield from _before(f"sha256:{_PREFIXES[begins[0]]}", first)
        for kept, listing in later:
            listing.result()
            for digest, length in digests.from_file(kept):
                assert length is not None
                yield digest, length
            kept.unlink()


def _before(first: str, blobs: Generator[Blob, None, None]) -> Iterator[Blob]:
    """The blobs before that one; the restic that lists them is ended there."""
    with contextlib.closing(blobs):
        yield from itertools.takewhile(lambda blob: blob[0] < first, blobs)


def captured_links(
    repository: Repository, snapshot: str, root: str, count: links.LinkCount, special: Special | None = None
) -> Iterator[str]:
    """Every link of a snapshot, by its path relative to the registry's root directory.

    The count is told of every link. restic lists the length of a file, not what is in it: that shows empty
    and cut links; the drill reads them. Raises SourceChanged for one that is whole on disk, or gone: it was
    caught while the registry wrote it.
    """
    for path, size in repository.files(snapshot, f"{root}/{storage.REPOSITORIES}", special=_add(special)):
        if path.endswith("/link"):
            yield _look(path, size, root, count)


def captured_tree(
    repository: Repository, snapshot: str, root: str, count: links.LinkCount, special: Special | None = None
) -> Generator[Blob, None, None]:
    """The blobs as `captured_blobs` has them; once they are through, the count is told of every link.

    One restic for both: starting a second one takes half a second of a processor, for it derives the key of
    the repository anew. Raises as `captured_links` does.
    """
    for path, size in repository.files(snapshot, f"{root}/{storage.TREE}", special=_add(special)):
        digest = storage.digest_of_blob(path)
        if digest:
            yield digest, size
        elif path.endswith("/link"):
            _look(path, size, root, count)


def _add(special: Special | None) -> Callable[[Node], None] | None:
    return special.add if special else None


def _look(path: str, size: int, root: str, count: links.LinkCount) -> str:
    """Tell the count of a link; returns its path relative to the root."""
    name = path.removeprefix(f"{root}/")
    if not count.look(name, size) and not links.is_damaged(Path(root), name):
        raise SourceChanged(
            f"a link was being written while it was read: {name}",
            hint="run the backup again, when less is pushed",
        )
    return name
