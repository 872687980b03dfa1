"""What is captured of a directory of OCI layouts, frozen and read live."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from drkit import config
from drkit.blobs.directory.cleaning import LAYOUTS, clean
from drkit.blobs.layouts import capture
from drkit.errors import ConfigError
from drkit.tools.restic.repository import Repository
from drkit.volumes.freeze import Place
from tests import filesystems
from tests.layouts import Layouts


def fill(root: Path) -> Layouts:
    tree = Layouts(root)
    tree.image("app", "v1", b"a layer")
    tree.image("team/app", "v1", b"a layer")
    (root / "app/.uploads/half").write_text("of an upload")
    for name in ("cache.db", "meta.db", "notes.txt"):
        (root / name).write_text(name)
    for name in ("_trivy", "_sessions", ".sync", "team/.old"):
        (root / name).mkdir()
        (root / name / "file").touch()
    return tree


@pytest.fixture
def subvolume(btrfs: Path) -> Iterator[Path]:
    filesystems.make_subvolume(btrfs / "own")
    (btrfs / "own/zot").mkdir()
    yield btrfs / "own/zot"
    for path in btrfs.iterdir():
        shutil.rmtree(path)


def taken(repository: Repository, root: Path, state: Path) -> tuple[set[str], list[str]]:
    """The files of a snapshot, relative to the root directory, and the warnings."""
    blobs = config.LayoutBlobs(kind="oci", path=root)
    place = Place(state, "drkit-tests-1")
    saved, view = capture.capture(blobs, repository, (), "host", lambda _update: None, place)
    files = repository.files(saved.snapshot, str(root))
    return {path.removeprefix(f"{root}/") for path, _size in files}, view.warnings


def repositories(tree: Layouts) -> set[str]:
    """The files of the repositories themselves."""
    found = (path for path in tree.root.rglob("*") if path.is_file())
    names = {str(path.relative_to(tree.root)) for path in found}
    return {name for name in names if name.startswith(("app/", "team/app/")) and ".uploads" not in name}


def test_read_live_without_what_may_be_torn(repository: Repository, tmp_path: Path) -> None:
    tree = fill(tmp_path / "zot")
    files, warnings = taken(repository, tree.root, tmp_path / "volumes")
    assert files == repositories(tree)
    assert "notes.txt" in warnings[0]
    assert warnings[1].startswith(f"{tree.root}/meta.db is not in the backup")


def test_frozen_with_zots_own_database(repository: Repository, subvolume: Path, tmp_path: Path) -> None:
    tree = fill(subvolume)
    files, warnings = taken(repository, tree.root, tmp_path / "volumes")
    assert files == repositories(tree) | {"meta.db"}
    assert [warning for warning in warnings if "meta.db" in warning] == []


def test_a_repository_behind_a_link_is_not_left_out(repository: Repository, tmp_path: Path) -> None:
    tree = fill(tmp_path / "zot")
    (tree.root / "app").rename(tmp_path / "elsewhere")
    (tree.root / "app").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="zot/app is a symbolic link, and would not be in the backup"):
        taken(repository, tree.root, tmp_path / "volumes")


def test_a_name_that_looks_like_a_pattern_hides_nothing(repository: Repository, tmp_path: Path) -> None:
    tree = fill(tmp_path / "zot[1]")
    (tree.root / "a*").touch()
    (tree.root / "[a-t]*").touch()
    files, warnings = taken(repository, tree.root, tmp_path / "volumes")
    assert files == repositories(tree)
    assert any(warning.startswith("[a-t]*, a*, notes.txt in ") for warning in warnings)


def test_what_no_repository_can_have_is_told_and_left_out(repository: Repository, tmp_path: Path) -> None:
    """A drill would take it out of what was restored, and fail for it."""
    tree = fill(tmp_path / "zot")
    whole = repositories(tree)
    for name in ("app/Junk", "team/Old", "app/blobs/sha256/Sub", "team/lost+found", "app/.Own", "app/_Own"):
        (tree.root / name / "in").mkdir(parents=True)
        (tree.root / name / "in/file").touch()
    (tree.root / "app/blobs/sha256/Empty").mkdir()
    files, warnings = taken(repository, tree.root, tmp_path / "volumes")
    assert files == whole
    said = f" in {tree.root}: no part of the registry, and not in the backup"
    (told,) = [warning.removesuffix(said) for warning in warnings if warning.endswith(said)]
    assert told == "notes.txt, app/Junk, app/blobs/sha256/Empty and 2 more"
    (snapshot,) = repository.listed()[0]
    back = tmp_path / "back"
    repository.restore(f"{snapshot.id}:{tmp_path}", back)
    assert clean(back / "zot", grammar=LAYOUTS).sentences == ()


def test_what_has_blobs_and_is_no_repository_is_told(repository: Repository, tmp_path: Path) -> None:
    tree = fill(tmp_path / "zot")
    for name in ("one", "two", "three"):
        tree.image(name, "v1", b"a layer")
    tree.index("one").unlink()
    tree.index("one").mkdir()
    tree.index("two").unlink()
    (tree.root / "three/oci-layout").unlink()
    _files, warnings = taken(repository, tree.root, tmp_path / "volumes")
    said = "has blobs and is no repository, for"
    assert [warning for warning in warnings if said in warning] == [
        f"{tree.root}/one {said} its index.json is a directory: zot serves nothing of it",
        f"{tree.root}/three {said} it has no oci-layout: zot serves nothing of it",
        f"{tree.root}/two {said} it has no index.json: zot serves nothing of it",
    ]


def test_keys_that_zot_trusts_are_told_by_name(repository: Repository, tmp_path: Path) -> None:
    tree = fill(tmp_path / "zot")
    (tree.root / "_cosign").mkdir()
    _files, warnings = taken(repository, tree.root, tmp_path / "volumes")
    (said,) = [warning for warning in warnings if "_cosign" in warning]
    assert said.startswith(f"{tree.root}/_cosign is not in the backup")
    assert "[secrets]" in said


def test_what_holds_no_layouts(tmp_path: Path) -> None:
    blobs = config.LayoutBlobs(kind="oci", path=tmp_path / "zot")
    with pytest.raises(ConfigError, match="there is no blob directory"):
        capture.look(blobs)
    (tmp_path / "zot/docker/registry").mkdir(parents=True)
    with pytest.raises(ConfigError, match="holds the tree of a distribution registry"):
        capture.look(blobs)
    shutil.rmtree(tmp_path / "zot/docker")
    with pytest.raises(ConfigError, match="holds no registry"):
        capture.look(blobs)
    (tmp_path / "zot/cache.db").touch()
    capture.look(blobs)
