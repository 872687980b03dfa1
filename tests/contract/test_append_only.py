"""What a repository lets us remove: believed is its list, not restic's exit code."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from drkit.errors import NotRemoved
from drkit.tools.restic.repository import Repository
from tests import needs, rest_server

TAG, HOST = "drkit", "registry.example.com"


@pytest.fixture
def append_only(repository: Repository) -> Iterator[Repository]:
    with rest_server.serving(Path(repository.access.url), "--append-only") as url:
        yield Repository(replace(repository.access, url=url))


def test_what_a_server_keeps_is_named(append_only: Repository) -> None:
    first, second = (append_only.save_stream([b"x"], name, [TAG], HOST).snapshot for name in ("a", "b"))
    with pytest.raises(NotRemoved) as caught:
        append_only.forget([first, second])
    assert set(caught.value.left) == {first, second}
    assert caught.value.message.startswith(
        "2 of 2 snapshots could not be removed from rest:http://127.0.0.1:"
    )
    assert first[:8] in caught.value.message
    assert "403" in caught.value.message, "the server's own reason"
    assert {found.id for found in append_only.snapshots(TAG)} == {first, second}


def test_what_has_gone_already_is_no_fault(repository: Repository) -> None:
    saved = repository.save_stream([b"x"], "a", [TAG], HOST).snapshot
    repository.forget([saved])
    assert repository.snapshots(TAG) == ()


def test_a_server_tells_whether_it_removes(repository: Repository, append_only: Repository) -> None:
    before = sorted(Path(repository.access.url).rglob("*"))
    assert append_only.removals().allowed is False
    with rest_server.serving(Path(repository.access.url)) as url:
        assert Repository(replace(repository.access, url=url)).removals().allowed is True
    assert sorted(Path(repository.access.url).rglob("*")) == before


def test_of_a_server_that_is_not_there_nothing_is_known(repository: Repository) -> None:
    gone = Repository(replace(repository.access, url="rest:http://127.0.0.1:1/"))
    assert gone.removals().allowed is None
    assert Repository(replace(repository.access, url="sftp:user@host:/x")).removals().allowed is None


def test_a_directory_tells_it_by_its_attributes(repository: Repository) -> None:
    assert repository.removals().allowed is True
    folder = Path(repository.access.url, "snapshots")
    if subprocess.run([needs.program("chattr"), "+a", str(folder)], check=False).returncode != 0:
        pytest.skip("chattr +a is for root, on a file system that knows it")
    try:
        found = repository.removals()
        assert found.allowed is False
        assert str(folder) in found.why
    finally:
        subprocess.run(["chattr", "-a", str(folder)], check=True)
