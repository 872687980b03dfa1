"""What the kernel asks of a read-only file system, and the bytes of the answers (linux/fuse.h): pure."""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

# The kernel's smallest read of a request that writes nothing, and what a question of ours may take.
REQUEST_BYTES = 256 << 10
ROOT = 1

_MAJOR, _MINOR = 7, 31
# Nothing here ever changes: the kernel may keep names, sizes and pages as long as it has memory to spare.
_VALID_SECONDS = 86400
_KEEP_CACHE = 1 << 1
# Closing a file asks nothing: a new process closes ours while Python waits for it with its lock held, and
# would wait for an answer of this very process.
_NO_FLUSH = 1 << 5
_DO_READDIRPLUS = 1 << 13
_PARALLEL_DIROPS = 1 << 18
_MAX_PAGES = 1 << 22
_PAGES = 256
_BLOCK = 4096

_IN = struct.Struct("=IIQQIIII")
_OUT = struct.Struct("=IiQ")
_INIT_IN = struct.Struct("=IIII")
_INIT_OUT = struct.Struct("=IIIIHHIIHHI28x")
_ATTR = struct.Struct("=QQQQQQIIIIIIIIII")
_ENTRY = struct.Struct("=QQQQII")
_ATTR_OUT = struct.Struct("=QII")
_OPEN_OUT = struct.Struct("=QII")
_READ_IN = struct.Struct("=QQI")
_HANDLE = struct.Struct("=Q")
_STATFS = struct.Struct("=QQQQQIIII24x")
_DIRENT = struct.Struct("=QQII")


class Operation(IntEnum):
    """The questions that are answered; any other is one that this file system does not know."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    OPEN = 14
    READ = 15
    STATFS = 17
    RELEASE = 18
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    READDIRPLUS = 44


# To these no answer is expected.
UNANSWERED = (Operation.FORGET, Operation.BATCH_FORGET, Operation.INTERRUPT)


class Request(NamedTuple):
    """A question: what is asked (perhaps no Operation), its own number, of which node, and more."""

    operation: int
    unique: int
    node: int
    more: bytes


class Node(NamedTuple):
    """A directory (no size), or a file of so many bytes; `number` is its own for good."""

    number: int
    size: int | None


class Child(NamedTuple):
    """What stands in a directory under a name; the children behind it are those from `following` on."""

    name: bytes
    node: Node
    following: int


def request(data: bytes) -> Request:
    """A question of the kernel's."""
    _, operation, unique, node, *_ = _IN.unpack_from(data)
    return Request(operation, unique, node, data[_IN.size :])


def answer(unique: int, content: bytes) -> bytes:
    """An answer to a question, by the question's own number."""
    return _OUT.pack(_OUT.size + len(content), 0, unique) + content


def failure(unique: int, code: int) -> bytes:
    """That it cannot be answered, with a number of errno's."""
    return _OUT.pack(_OUT.size, -code, unique)


def agreed(more: bytes) -> bytes:
    """The answer to INIT: which protocol is spoken.

    Reads of one open file come one after the other (no FUSE_ASYNC_READ), so that each can be a stream.
    """
    _, _, readahead, offered = _INIT_IN.unpack_from(more)
    flags = offered & (_DO_READDIRPLUS | _PARALLEL_DIROPS | _MAX_PAGES)
    return _INIT_OUT.pack(_MAJOR, _MINOR, readahead, flags, 0, 0, _BLOCK, 1, _PAGES, 0, 0)


def name(more: bytes) -> bytes:
    """The name that LOOKUP asks for."""
    return more.rstrip(b"\0")


def entry(node: Node, owner: tuple[int, int]) -> bytes:
    """What LOOKUP finds; `owner` is a user's number and a group's."""
    return _ENTRY.pack(node.number, 0, _VALID_SECONDS, _VALID_SECONDS, 0, 0) + _attributes(node, owner)


def attributes(node: Node, owner: tuple[int, int]) -> bytes:
    """What GETATTR tells."""
    return _ATTR_OUT.pack(_VALID_SECONDS, 0, 0) + _attributes(node, owner)


def _attributes(node: Node, owner: tuple[int, int]) -> bytes:
    mode = stat.S_IFDIR | 0o555 if node.size is None else stat.S_IFREG | 0o444
    size, links = node.size or 0, 2 if node.size is None else 1
    blocks = -(-size // 512)
    return _ATTR.pack(node.number, size, blocks, 0, 0, 0, 0, 0, 0, mode, links, *owner, 0, _BLOCK, 0)


def opened(handle: int) -> bytes:
    """What OPEN gives: a handle, and that pages which the kernel has still hold."""
    return _OPEN_OUT.pack(handle, _KEEP_CACHE | _NO_FLUSH, 0)


def read(more: bytes) -> tuple[int, int, int]:
    """What READ, READDIR and READDIRPLUS ask for: of which handle, from where on, how many bytes at most."""
    handle, first, count = _READ_IN.unpack_from(more)
    return handle, first, count


def handle(more: bytes) -> int:
    """The handle that RELEASE lets go of."""
    found: int = _HANDLE.unpack_from(more)[0]
    return found


def statfs() -> bytes:
    """What STATFS tells: a file system with no room."""
    return _STATFS.pack(0, 0, 0, 0, 0, _BLOCK, 255, _BLOCK, 0)


def directory(children: Iterable[Child], most: int, owner: tuple[int, int] | None) -> bytes:
    """As many children as fit into so many bytes; with all of LOOKUP's answer, where there is an `owner`."""
    found = bytearray()
    for piece in _entries(children, owner):
        if len(found) + len(piece) > most:
            break
        found += piece
    return bytes(found)


def _entries(children: Iterable[Child], owner: tuple[int, int] | None) -> Iterator[bytes]:
    for child in children:
        kind = (stat.S_IFDIR if child.node.size is None else stat.S_IFREG) >> 12
        whole = b"" if owner is None else entry(child.node, owner)
        plain = _DIRENT.pack(child.node.number, child.following, len(child.name), kind) + child.name
        yield whole + plain + bytes(-len(plain) % 8)
