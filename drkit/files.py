"""Files that are replaced whole, so that no reader ever sees half of one; modes that no umask changes."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from drkit.errors import RestoreDamaged


def replace_file(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write `text` beside `path` and rename it over; raises OSError and then leaves `path` as it was.

    The name in between begins with a dot and ends in `.tmp`: nobody takes it for the file itself.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        _fill(descriptor, text, mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_new(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file that is not there yet, whole or not at all; raises OSError, FileExistsError among them."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        _fill(descriptor, text, mode)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _fill(descriptor: int, text: str, mode: int) -> None:
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        # After a power cut a renamed file without its data would be empty, and a key in use may be gone.
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), mode)


def write_once(path: Path, text: str) -> None:
    """Write a private file whole where there is none; of several writers the first wins. Raises OSError.

    A run that is killed here leaves a file that begins with a dot, the name and a dot, and ends in `.tmp`.
    """
    made = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    write_new(made, text)
    try:
        path.hardlink_to(made)
    except FileExistsError:
        pass
    except OSError:
        # A file system without links.
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def make_directory(path: Path, mode: int, *, exist_ok: bool = False) -> None:
    """Make a directory with this very mode; parents that are not there are open to everybody (0755).

    One that is there already keeps its mode. Raises OSError.
    """
    missing = [parent for parent in path.parents if not parent.is_dir()]
    for parent in reversed(missing):
        _make(parent, 0o755, exist_ok=True)
    _make(path, mode, exist_ok=exist_ok)


def _make(path: Path, mode: int, *, exist_ok: bool) -> None:
    try:
        # Never wider than it will be, not even for a moment.
        path.mkdir(mode=mode & 0o700)
    except FileExistsError:
        if not exist_ok:
            raise
        if not path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    else:
        path.chmod(mode)


def plain_file(directory: Path, path: str) -> Path:
    """A file that was restored below a directory, by its absolute path in the snapshot.

    Raises RestoreDamaged where it, or a directory above it, came back as a link: it would lead elsewhere.
    """
    file = directory / path.lstrip("/")
    if file.resolve() != directory.resolve() / path.lstrip("/") or not stat.S_ISREG(file.lstat().st_mode):
        raise RestoreDamaged(f"{path} was restored as something other than a file", hint="use another point")
    return file


def writable_by_others(path: str | Path) -> str:
    """What of a path others than root and this user could change: it, what it links to, a directory above.

    Empty where nothing is. Raises OSError.
    """
    real = Path(path).resolve(strict=True)
    for each in (real, *real.parents):
        status = each.stat()
        theirs = status.st_uid not in (0, os.geteuid())
        # In a directory with the sticky bit nobody removes or renames what is another's.
        open_to_all = status.st_mode & 0o022 and not (each != real and status.st_mode & stat.S_ISVTX)
        if theirs or open_to_all:
            return str(each)
    return ""


@contextlib.contextmanager
def named_after(directory: Path) -> Iterator[None]:
    """What the system refuses in the midst of a file, as on a full disk, is said of this directory."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(directory)
        raise
