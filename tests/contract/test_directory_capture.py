"""What is captured of a directory in which more stands than distribution's tree."""

from __future__ import annotations

from pathlib import Path

from drkit import config
from drkit.blobs.directory import capture
from drkit.blobs.directory.cleaning import clean
from drkit.registry.storage import BLOBS, REPOSITORIES, TREE
from drkit.tools.restic.repository import Repository
from drkit.volumes.freeze import Place


def test_what_is_no_part_of_the_tree_is_told_and_left_out(repository: Repository, tmp_path: Path) -> None:
    """A drill would take it out of what was restored, and fail for it."""
    root = tmp_path / "registry"
    for name in (BLOBS / "sha256", REPOSITORIES / "app", TREE / "Old", TREE / "lost+found", "aside"):
        (root / name).mkdir(parents=True)
        (root / name / "file").touch()
    (root / TREE / "notes.txt").touch()
    blobs = config.FilesystemBlobs(kind="filesystem", path=root)
    saved, view = capture.capture(
        blobs, repository, (), "host", lambda _update: None, Place(tmp_path / "volumes", "drkit-tests-1")
    )
    files = {path for path, _size in repository.files(saved.snapshot, str(root))}
    assert files == {f"{root / BLOBS}/sha256/file", f"{root / REPOSITORIES}/app/file"}
    said = f"aside, {TREE}/Old, {TREE}/notes.txt in {root}: no part of the registry, and not in the backup"
    assert said in view.warnings
    repository.restore(f"{saved.snapshot}:{tmp_path}", tmp_path / "back")
    assert clean(tmp_path / "back/registry").sentences == ()
