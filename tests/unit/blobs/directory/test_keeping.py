"""What is in place and right is shared with the new tree; nothing in place is changed, whatever it is."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from drkit.blobs.directory import keeping
from drkit.blobs.directory.keeping import Kept
from drkit.progress import Meter, silent
from drkit.registry import storage
from drkit.registry.ledger import Ledger
from drkit.tools.restic.output import OwnedFile
from tests import needs

DATA = b"a layer"
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
NAME = str(storage.blob_name(DIGEST))
WHEN = 1_700_000_000_123_456_789


def wanted(mode: int = 0o644, uid: int | None = None) -> OwnedFile:
    path = NAME.removeprefix(f"{storage.BLOBS}/")
    return OwnedFile(path, len(DATA), os.geteuid() if uid is None else uid, os.getegid(), mode, WHEN)


def put(root: Path, data: bytes = DATA, mode: int = 0o644) -> Path:
    path = root / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def keep(root: Path, *files: OwnedFile) -> tuple[Kept, bool]:
    """What was kept, and whether the ledger knows the blob."""
    (root / "new").mkdir(exist_ok=True)
    ledger = Ledger(root / "ledger.db")
    try:
        kept = keeping.keep(files, root / "old", root / "new", ledger, Meter(silent, "", None))
        return kept, ledger.good(DIGEST)
    finally:
        ledger.close()


def test_one_that_is_right_is_shared(tmp_path: Path) -> None:
    old = put(tmp_path / "old")
    before = old.stat()
    kept, good = keep(tmp_path, wanted())
    assert (kept.blobs, kept.bytes, kept.wrong.count, good) == (1, len(DATA), 0, True)
    assert (tmp_path / "new" / NAME).samefile(old)
    after = old.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_size) == (
        before.st_mode,
        before.st_mtime_ns,
        before.st_size,
    )


@pytest.mark.parametrize("data", [b"b layer", b"a lay", b""])
def test_one_that_is_wrong_is_named_and_left_alone(tmp_path: Path, data: bytes) -> None:
    old = put(tmp_path / "old", data)
    kept, good = keep(tmp_path, wanted())
    assert (kept.blobs, kept.wrong.first, good) == (0, (DIGEST,), False)
    assert old.read_bytes() == data
    assert not (tmp_path / "new" / NAME).exists()


def test_another_mode_than_the_points_is_not_shared(tmp_path: Path) -> None:
    """It would have to be changed, and with it what is set aside."""
    put(tmp_path / "old", mode=0o600)
    assert keep(tmp_path, wanted())[0].blobs == 0
    (tmp_path / "old" / NAME).chmod(0o666)
    assert keep_again(tmp_path, wanted(mode=0o666)).blobs == 0, "for everybody to write to"
    assert stat.S_IMODE((tmp_path / "old" / NAME).stat().st_mode) == 0o666


def keep_again(root: Path, file: OwnedFile) -> Kept:
    (root / "ledger.db").unlink()
    return keep(root, file)[0]


def test_another_owner_than_the_points_is_not_shared(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        needs.missing("for anybody else all that he restores is his own")
    put(tmp_path / "old")
    assert keep(tmp_path, wanted(uid=10000))[0].blobs == 0


def link(path: Path) -> None:
    path.with_name("elsewhere").write_bytes(DATA)
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("make", [link, os.mkfifo, Path.mkdir])
def test_what_is_no_file_is_not_opened(tmp_path: Path, make: Callable[[Path], object]) -> None:
    put(tmp_path / "old").unlink()
    make(tmp_path / "old" / NAME)
    kept, _ = keep(tmp_path, wanted())
    assert kept.blobs == 0
    assert not os.path.lexists(tmp_path / "new" / NAME)


def test_what_a_restore_left_gets_owner_mode_and_time(tmp_path: Path) -> None:
    """restic gives them last of all, and leaves alone what it finds."""
    left = put(tmp_path / "new", mode=0o600)
    kept, good = keep(tmp_path, wanted())
    assert (kept.blobs, good) == (1, True)
    found = left.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o644, WHEN)


def test_a_link_that_a_restore_left_goes(tmp_path: Path) -> None:
    """Whoever can write to the repository can put one into a snapshot."""
    left, precious = put(tmp_path / "new"), tmp_path / "precious"
    precious.write_bytes(DATA)
    left.unlink()
    left.symlink_to(precious)
    kept, _ = keep(tmp_path, wanted())
    assert kept.blobs == 0
    assert not left.is_symlink()
    assert precious.exists()


def test_half_of_what_a_restore_left_goes(tmp_path: Path) -> None:
    left = put(tmp_path / "new", b"a la\0\0\0")
    strange = left.with_name("strange")
    strange.touch()
    path = str(Path(wanted().path).with_name("strange"))
    kept, _ = keep(tmp_path, wanted(), wanted()._replace(path=path))
    assert kept.blobs == 0
    assert not left.exists()
    assert not strange.exists(), "nothing tells whether it is whole"


def test_what_was_shared_before_is_still(tmp_path: Path) -> None:
    """Also when what it was shared with has been set aside in the meantime."""
    old = put(tmp_path / "old")
    before = old.stat()
    keep(tmp_path, wanted())
    (tmp_path / "old").rename(tmp_path / "aside")
    assert keep_again(tmp_path, wanted()).blobs == 1
    after = (tmp_path / "aside" / NAME).stat()
    assert (after.st_mtime_ns, after.st_mode, after.st_nlink) == (before.st_mtime_ns, before.st_mode, 2)


def test_a_name_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    """Whoever can write to the repository chooses the names."""
    precious = put(tmp_path / "new")
    outside = tmp_path / "precious"
    outside.touch()
    more = "/".join([".."] * 5)
    kept, _ = keep(
        tmp_path,
        wanted()._replace(path=f"{more}/precious"),
        wanted()._replace(path=f"../blobs/{wanted().path}"),
    )
    assert kept.blobs == 0
    assert outside.exists()
    assert precious.exists()


def test_for_a_point_without_owners_any_harmless_file_will_do(tmp_path: Path) -> None:
    old = put(tmp_path / "old", mode=0o640)
    (tmp_path / "new").mkdir()
    assert keeping.share(tmp_path / "old", tmp_path / "new", DIGEST, len(DATA))
    assert (tmp_path / "new" / NAME).samefile(old)
    for mode, size in ((0o4644, len(DATA)), (0o644, 3)):
        (tmp_path / "new" / NAME).unlink()
        old.chmod(mode)
        assert not keeping.share(tmp_path / "old", tmp_path / "new", DIGEST, size)
        (tmp_path / "new" / NAME).touch()
