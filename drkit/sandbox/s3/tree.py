"""A storage tree as the keys of a bucket: in the order of their bytes, from any key on.

Only links and blobs are keys; whatever else is in the directory is not there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from drkit.blobs.bucket import links_archive
from drkit.registry import storage
from drkit.sandbox.s3.requests import Key

_OUTSIDE = ("", ".", "..")


def find(root: Path, name: str) -> Key | None:
    """The key of that name."""
    if not links_archive.is_link(name) and not _is_blob(name):
        return None
    try:
        found = os.lstat(f"{root}/{name}")
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Key(name, found.st_size, found.st_mtime) if stat.S_ISREG(found.st_mode) else None


def keys(root: Path, prefix: str = "", delimiter: str = "", after: str = "") -> Iterator[Key]:
    """The keys that begin with `prefix` and come after another, sorted.

    With a delimiter, which is a slash, what has one behind the prefix is told once, as what stands before it.
    """
    top = prefix.rpartition("/")[0]
    if not top or not any(part in _OUTSIDE for part in top.split("/")):
        yield from _below(root, top, prefix, after, cut=bool(delimiter))


def _below(root: Path, here: str, prefix: str, after: str, *, cut: bool) -> Iterator[Key]:
    """Those below a directory; one directory's names are in memory at a time, and those of its parents."""
    for name, is_directory in _entries(root, here):
        if is_directory:
            if not (name.startswith(prefix) or prefix.startswith(name)):
                continue
            if after >= name and not after.startswith(name):
                continue
            if cut and name.startswith(prefix):
                if after < name and next(_below(root, name[:-1], prefix, "", cut=False), None) is not None:
                    yield Key(name, None)
                continue
            yield from _below(root, name[:-1], prefix, after, cut=cut)
        elif name.startswith(prefix) and name > after and (found := find(root, name)) is not None:
            yield found


def _entries(root: Path, here: str) -> list[tuple[str, bool]]:
    """Full names, those of directories with a slash: so they sort as the keys in them do."""
    base = f"{here}/" if here else ""
    try:
        with os.scandir(f"{root}/{here}") as entries:
            found = [
                (f"{base}{entry.name}/", True)
                if entry.is_dir(follow_symlinks=False)
                else (f"{base}{entry.name}", False)
                for entry in entries
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda each: links_archive.sort_key(each[0]))


def _is_blob(name: str) -> bool:
    digest = storage.digest_of_blob(f"/{name}")
    return digest is not None and name == str(storage.blob_name(digest))
