"""The key file of a repository that drkit made: ten times as cheap, and restic reads no other."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from drkit.errors import RepositoryRefused, ToolFailed
from drkit.tools.restic import integrity
from drkit.tools.restic.access import Access
from drkit.tools.restic.key_file import Cost, cost_of
from drkit.tools.restic.repository import Repository
from tests import needs, rest_server
from tests.buckets import service


@contextmanager
def fresh(tmp_path: Path, where: str) -> Iterator[Repository]:
    """A repository as `init` makes one, by what it is reached."""
    needs.program("restic")
    password = tmp_path / "password"
    password.write_text(secrets.token_urlsafe(32) + "\n")
    at = Access(str(tmp_path / "repository"), password, tmp_path / "cache")
    with ExitStack() as stack:
        if where == "bucket":
            s3 = stack.enter_context(service(tmp_path / "s3")).bucket()
            credentials = {**s3.credentials, "AWS_DEFAULT_REGION": s3.region or ""}
            at = replace(at, url=f"s3:{s3.endpoint}/{s3.bucket}/below", credentials=credentials)
        elif where == "server":
            at = replace(at, url=stack.enter_context(rest_server.serving(tmp_path / "repository")))
        repository = Repository(at)
        repository.initialise()
        yield repository


def keys(repository: Repository) -> list[str]:
    """The text of each key file, as restic shows it."""
    access = repository.access
    names = access.check(access.command("list", "keys", "--no-lock")).text.split()
    return [access.check(access.command("cat", "key", name, "--no-lock")).text for name in names]


@pytest.mark.parametrize("where", ["directory", "bucket", "server"])
def test_the_only_key_is_a_quick_one(tmp_path: Path, where: str) -> None:
    (tmp_path / "s3").mkdir()
    with fresh(tmp_path, where) as repository:
        saved = repository.save_stream([b"before"], "file", ["drkit"], "registry.example.com").snapshot
        (dear,) = keys(repository)
        repository.open_at_once()
        (quick,) = keys(repository)
        assert quick != dear
        assert cost_of(quick) == Cost(1 << 14, 8, 1)
        kept = ("created", "username", "hostname")
        assert [json.loads(quick)[name] for name in kept] == [json.loads(dear)[name] for name in kept]
        assert b"".join(repository.read(saved, "/file")) == b"before"
        integrity.check(repository.access, "100%")
        wrong = tmp_path / "wrong"
        wrong.write_text("another\n")
        with pytest.raises(RepositoryRefused):
            Repository(replace(repository.access, password_file=wrong)).open()


def test_a_directory_holds_it_as_restic_would(tmp_path: Path) -> None:
    with fresh(tmp_path, "directory") as repository:
        (dear,) = (tmp_path / "repository/keys").iterdir()
        mode = dear.stat().st_mode
        repository.open_at_once()
        (quick,) = (tmp_path / "repository/keys").iterdir()
        assert quick.stat().st_mode == mode


def test_where_nothing_may_be_removed_it_opens_all_the_same(tmp_path: Path) -> None:
    with fresh(tmp_path, "directory") as repository:
        with rest_server.serving(tmp_path / "repository", "--append-only") as url:
            kept = Repository(replace(repository.access, url=url))
            with pytest.raises(ToolFailed):
                kept.open_at_once()
            assert kept.open()
        assert len(keys(repository)) == 2


def test_where_it_cannot_be_stored_the_old_one_stays(tmp_path: Path) -> None:
    with fresh(tmp_path, "directory") as repository:
        before = keys(repository)
        folder = str(tmp_path / "repository/keys")
        if subprocess.run([needs.program("chattr"), "+i", folder], check=False).returncode != 0:
            pytest.skip("chattr +i is for root, on a file system that knows it")
        try:
            with pytest.raises(ToolFailed, match="cannot be written"):
                repository.open_at_once()
        finally:
            subprocess.run(["chattr", "-i", folder], check=True)
        assert keys(repository) == before
