"""A restic repository for each test that asks for one; file systems that freeze a directory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drkit.tools.restic.access import Access
from drkit.tools.restic.repository import Repository
from tests import filesystems, needs
from tests.weak_key import weaken


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """An empty repository, made once."""
    needs.program("restic")
    directory = tmp_path_factory.mktemp("restic")
    password = directory / "password"
    password.write_text("correct horse battery staple\n")
    access = Access(
        str(directory / "repository"),
        password,
        directory / "cache",
        lock_wait=timedelta(seconds=1),
        records=directory / "restics",
    )
    repository = Repository(access)
    repository.initialise()
    weaken(Path(access.url), "correct horse battery staple")
    return repository


@pytest.fixture
def repository(pristine: Repository, tmp_path: Path) -> Repository:
    """An empty repository of the test's own."""
    shutil.copytree(pristine.access.url, tmp_path / "repository")
    return Repository(replace(pristine.access, url=str(tmp_path / "repository")))


@pytest.fixture(scope="session")
def btrfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with filesystems.mounted(tmp_path_factory.mktemp("btrfs"), "btrfs") as top:
        yield top


@pytest.fixture(scope="session")
def xfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with filesystems.mounted(tmp_path_factory.mktemp("xfs"), "xfs") as top:
        yield top
