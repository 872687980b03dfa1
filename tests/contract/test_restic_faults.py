"""Damage that restic's cache hides, or that restic passes over with exit code 0."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from drkit.errors import NoSpace, ToolFailed
from drkit.tools.restic import integrity
from drkit.tools.restic.access import Access
from drkit.tools.restic.repository import Repository
from tests import filesystems

TAG, HOST = "drkit", "host"
DATA = Random(1).randbytes(200_000)


def packs(repository: Repository) -> list[Path]:
    return sorted(path for path in (Path(repository.access.url) / "data").rglob("*") if path.is_file())


@pytest.fixture
def stored(repository: Repository, tmp_path: Path) -> Repository:
    """A repository with two snapshots, and a warm cache of its own."""
    access: Access = replace(repository.access, cache=tmp_path / "warm")
    repository = Repository(access)
    for name in ("one", "two"):
        repository.save_stream([DATA, name.encode()], name, [TAG, name], HOST)
    return repository


def test_a_sound_repository_has_all_packs_of_its_index(repository: Repository, stored: Repository) -> None:
    assert integrity.pack_faults(stored.access) == ()
    locks = Path(stored.access.url) / "locks"
    assert list(locks.iterdir()) == [], "it holds no lock, and so leaves none when it is ended early"


def test_an_empty_repository_has_no_faults(repository: Repository) -> None:
    assert integrity.pack_faults(repository.access) == ()


def test_missing_and_cut_packs_are_named(stored: Repository) -> None:
    first, second, *_ = packs(stored)
    size = second.stat().st_size
    first.unlink()
    second.chmod(0o600)
    with second.open("r+b") as file:
        file.truncate(size - 1)
    assert sorted(integrity.pack_faults(stored.access)) == sorted(
        [
            f"pack {first.name[:8]}: does not exist",
            f"pack {second.name[:8]}: unexpected file size: got {size - 1}, expected {size}",
        ]
    )


def test_a_pack_that_no_index_names_is_no_fault(stored: Repository) -> None:
    pack = packs(stored)[0]
    shutil.copy(pack, pack.with_name("0" * 64))
    assert integrity.pack_faults(stored.access) == ()


def test_a_damaged_index_is_met_although_the_cache_has_it(stored: Repository) -> None:
    for index in (Path(stored.access.url) / "index").iterdir():
        index.chmod(0o600)
        index.write_bytes(index.read_bytes()[:-1] + b"\0")
    with pytest.raises(ToolFailed, match="restic repair index"):
        integrity.pack_faults(stored.access)


def test_snapshots_that_restic_passes_over_are_told(stored: Repository, tmp_path: Path) -> None:
    """It leaves them out of its list and exits with 0; with a warm cache it lists them."""
    gone, left = stored.snapshots(TAG)
    path = Path(stored.access.url) / "snapshots" / gone.id
    path.chmod(0o600)
    path.write_bytes(b"")
    assert stored.listed(TAG) == ((gone, left), ())
    bare = Repository(replace(stored.access, cache=tmp_path / "cold"))
    assert bare.listed(TAG) == ((left,), (gone.id,))
    assert bare.listed("another", locked=True) == ((), (gone.id,)), "nobody knows which tags it bears"


def test_a_cache_that_fills_up_ends_restic_soon(stored: Repository, tmp_path: Path) -> None:
    """It would try to write it again and again, for a quarter of an hour."""
    with filesystems.narrow(tmp_path / "narrow", "40m") as where:
        access = replace(stored.access, cache=where / "cache")
        # While there was room for a cache: with less of it drkit tells restic to have none.
        command = access.command("dump", "latest", "/two")
        access.check(access.command("cat", "config"))
        filesystems.fill(where)
        with pytest.raises(NoSpace) as caught:
            access.check(command)
    said = f"restic dump on {access.url} was ended: no space is left for its cache in {where}/cache"
    assert caught.value.message == said
