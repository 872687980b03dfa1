"""What was made goes again where the whole does not come off, and nothing else does."""

from __future__ import annotations

from pathlib import Path

from drkit.actions.undo import Undo


def make(root: Path, undo: Undo) -> None:
    undo.directory(root / "etc/drkit")
    (root / "etc/drkit").mkdir(parents=True)
    undo.tree(root / "var/lib/state")
    (root / "var/lib/state/cache").mkdir(parents=True)
    (root / "var/lib/state/cache/file").touch()
    (root / "etc/drkit/key").touch()
    undo.file(root / "etc/drkit/key")


def test_all_of_it_goes(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    with Undo() as undo:
        make(tmp_path, undo)
    assert [path.name for path in tmp_path.rglob("*")] == ["var"]


def test_what_others_put_there_stays(tmp_path: Path) -> None:
    (tmp_path / "var/lib/state/kept").mkdir(parents=True)
    with Undo() as undo:
        undo.tree(tmp_path / "var/lib/state")
        undo.directory(tmp_path / "etc")
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/others").touch()
    assert {path.name for path in tmp_path.rglob("*")} == {"var", "lib", "state", "kept", "etc", "others"}


def test_kept(tmp_path: Path) -> None:
    with Undo() as undo:
        make(tmp_path, undo)
        undo.keep()
    assert (tmp_path / "etc/drkit/key").exists()
    assert (tmp_path / "var/lib/state/cache/file").exists()
