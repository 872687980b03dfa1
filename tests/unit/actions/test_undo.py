"""What was made goes again where the whole does not come off, and nothing else does."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from drkit.actions import undo


def make(root: Path, stack: ExitStack) -> None:
    undo.directory(stack, root / "etc/drkit")
    (root / "etc/drkit").mkdir(parents=True)
    undo.tree(stack, root / "var/lib/state")
    (root / "var/lib/state/cache").mkdir(parents=True)
    (root / "var/lib/state/cache/file").touch()
    (root / "etc/drkit/key").touch()
    stack.callback((root / "etc/drkit/key").unlink)


def test_all_of_it_goes(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    with ExitStack() as stack:
        make(tmp_path, stack)
    assert [path.name for path in tmp_path.rglob("*")] == ["var"]


def test_what_others_put_there_stays(tmp_path: Path) -> None:
    (tmp_path / "var/lib/state/kept").mkdir(parents=True)
    with ExitStack() as stack:
        undo.tree(stack, tmp_path / "var/lib/state")
        undo.directory(stack, tmp_path / "etc")
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/others").touch()
    assert {path.name for path in tmp_path.rglob("*")} == {"var", "lib", "state", "kept", "etc", "others"}


def test_kept(tmp_path: Path) -> None:
    with ExitStack() as stack:
        make(tmp_path, stack)
        stack.pop_all()
    assert (tmp_path / "etc/drkit/key").exists()
    assert (tmp_path / "var/lib/state/cache/file").exists()
