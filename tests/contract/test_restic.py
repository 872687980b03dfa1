"""What drkit relies on restic for, on the real restic."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from drkit.errors import (
    ConfigError,
    RepositoryDamaged,
    RepositoryMissing,
    RepositoryRefused,
    SourceChanged,
    ToolFailed,
)
from drkit.progress import Update
from drkit.tools.process.command import Command
from drkit.tools.restic import integrity
from drkit.tools.restic import repository as restic
from drkit.tools.restic.output import is_empty_share
from drkit.tools.restic.repository import Repository
from tests import needs

HOST = "registry.example.com"
TAG = "drkit"
DATA = Random(1).randbytes(400_000)


def sh(script: str, **environment: str) -> Command:
    return Command(("sh", "-c", script), environment)


def content(repository: Repository, snapshot: str, path: str) -> bytes:
    return b"".join(repository.read(snapshot, path))


def names(repository: Repository) -> list[str]:
    return [snapshot.id for snapshot in repository.snapshots(TAG)]


# Making and opening


def test_the_installed_restic_is_new_enough() -> None:
    needs.program("restic")
    restic.require(restic.version())


def test_a_new_repository_is_empty_and_opens(repository: Repository) -> None:
    repository.open()
    assert repository.snapshots(TAG) == ()
    integrity.check(repository.access)


def test_restic_and_drkit_agree_on_which_share_has_no_packs(repository: Repository) -> None:
    repository.save_stream([DATA], "file", [TAG], HOST)
    packs = integrity.packs(repository.access)
    assert packs
    for number in (1, 2, 3):
        said = repository.access.check(
            repository.access.command("check", f"--read-data-subset={number}/3")
        ).text
        assert (f"group #{number} of 0 data packs" in said) is is_empty_share(f"{number}/3", packs)


def test_one_is_not_made_over_another(repository: Repository) -> None:
    with pytest.raises(ToolFailed, match="config file already exists"):
        repository.initialise()


def test_a_repository_that_is_not_there(pristine: Repository, tmp_path: Path) -> None:
    missing = Repository(replace(pristine.access, url=str(tmp_path / "none")))
    for ask in (missing.open, lambda: missing.snapshots(TAG), missing.prune):
        with pytest.raises(RepositoryMissing) as caught:
            ask()
        assert caught.value.message == f"there is no restic repository at {tmp_path}/none"
    with pytest.raises(RepositoryMissing):
        missing.save_command(sh("echo x"), "x", [TAG], HOST)
    with pytest.raises(RepositoryMissing):
        content(missing, "latest", "/x")


def test_a_wrong_password(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong\n")
    refused = Repository(replace(repository.access, password_file=tmp_path / "password"))
    for ask in (refused.open, lambda: refused.snapshots(TAG)):
        with pytest.raises(RepositoryRefused) as caught:
            ask()
        assert caught.value.message == (
            f"the repository {repository.access.url} does not open with the password in {tmp_path}/password"
        )


def test_a_password_file_that_is_not_there(repository: Repository, tmp_path: Path) -> None:
    nobody = Repository(replace(repository.access, password_file=tmp_path / "none"))
    with pytest.raises(ConfigError) as caught:
        nobody.open()
    assert caught.value.message == f"cannot read the repository's password file {tmp_path}/none"
    with pytest.raises(ConfigError):
        nobody.save_command(sh("echo x"), "x", [TAG], HOST)


# Saving a command


def test_what_a_command_prints_is_stored(repository: Repository) -> None:
    before = datetime.now(UTC)
    saved = repository.save_command(
        sh('printf "%s" "$WORDS"', WORDS="a dump"), "registry.dump", [TAG, "x"], HOST
    )
    assert (saved.bytes, saved.files) == (6, 1)
    assert saved.added_bytes > 0
    (snapshot,) = repository.snapshots(TAG)
    assert snapshot.id == saved.snapshot
    assert (snapshot.host, snapshot.paths, set(snapshot.tags)) == (HOST, ("/registry.dump",), {TAG, "x"})
    assert before - timedelta(seconds=1) <= snapshot.time <= datetime.now(UTC)
    assert content(repository, saved.snapshot, "/registry.dump") == b"a dump"


def test_a_command_that_fails_leaves_no_snapshot(repository: Repository) -> None:
    with pytest.raises(ToolFailed) as caught:
        repository.save_command(sh("echo partial; echo 'disk on fire' >&2; exit 9"), "x", [TAG], HOST)
    assert caught.value.message.startswith("sh did not finish: ")
    assert "disk on fire" in caught.value.message
    assert names(repository) == []


def test_the_last_words_of_a_command_are_never_lost(repository: Repository) -> None:
    """restic closes the pipe of its command's words when the command ends, read or not."""
    for number in range(10):
        with pytest.raises(ToolFailed) as caught:
            repository.save_command(sh(f"echo 'error: number {number}' >&2; exit 1"), "x", [TAG], HOST)
        assert f"error: number {number}" in caught.value.message


def test_a_command_that_is_killed_leaves_no_snapshot(repository: Repository) -> None:
    with pytest.raises(ToolFailed):
        repository.save_command(sh("head -c 2000000 /dev/zero; kill -KILL $$"), "x", [TAG], HOST)
    assert names(repository) == []


def test_the_command_and_restic_do_not_see_each_others_secrets(repository: Repository) -> None:
    credentials = {"AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_ACCESS_KEY_ID": "id"}
    with_credentials = Repository(replace(repository.access, credentials=credentials))
    command = sh("env; tr '\\0' '\\n' </proc/$PPID/environ >&2", PGPASSFILE="/private/pgpass")
    saved = with_credentials.save_command(command, "environment", [TAG], HOST)
    seen = content(repository, saved.snapshot, "/environment").decode()
    assert "PGPASSFILE=/private/pgpass" in seen
    assert "hunter2" not in seen
    assert "RESTIC_" not in seen


# Saving a stream


def test_a_stream_is_stored(repository: Repository) -> None:
    pieces = (DATA[start : start + 10_000] for start in range(0, len(DATA), 10_000))
    saved = repository.save_stream(pieces, "digests.jsonl", [TAG], HOST)
    assert saved.bytes == len(DATA)
    assert content(repository, saved.snapshot, "/digests.jsonl") == DATA


def test_a_stream_that_breaks_leaves_no_snapshot(repository: Repository) -> None:
    def pieces() -> Iterator[bytes]:
        yield DATA
        raise ToolFailed("the server went away")

    with pytest.raises(ToolFailed, match="the server went away"):
        repository.save_stream(pieces(), "digests.jsonl", [TAG], HOST)
    assert names(repository) == []


def test_an_empty_stream_is_refused(repository: Repository) -> None:
    """By restic; whoever may have nothing to say must say so in a byte."""
    with pytest.raises(ToolFailed, match="no data read"):
        repository.save_stream([], "empty", [TAG], HOST)


# Saving a directory, and bringing it back


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "registry"
    for name in ("b/data", "b-a/data", "b.a/data", "B/data", "_uploads/x/data", "é/data"):
        path = root / name
        path.parent.mkdir(parents=True)
        path.write_bytes(name.encode())
    (root / "b" / "data").chmod(0o640)
    os.utime(root / "b" / "data", ns=(1, 1_700_000_000_123_456_789))
    (root / "empty").mkdir()
    (root / "link").symlink_to("b/data")
    return root


def nodes(repository: Repository, snapshot: str) -> list[tuple[str, str, int | None]]:
    """Path, type and size of everything in a snapshot, in the order in which restic lists it."""
    command = repository.access.command("ls", "--json", "--recursive", snapshot)
    entries = map(json.loads, repository.access.check(command).text.splitlines())
    return [(e["path"], e["type"], e.get("size")) for e in entries if e.get("struct_type") == "node"]


def test_a_directory_and_what_is_left_out_of_it(repository: Repository, tree: Path) -> None:
    saved = repository.save_directory(tree, [TAG], HOST, excludes=["_uploads"])
    assert saved.files == 5
    top = str(tree)
    found = [node for node in nodes(repository, saved.snapshot) if node[0].startswith(top + "/")]
    assert found == [
        (f"{top}/B", "dir", None),
        (f"{top}/B/data", "file", 6),
        (f"{top}/b", "dir", None),
        (f"{top}/b/data", "file", 6),
        (f"{top}/b-a", "dir", None),
        (f"{top}/b-a/data", "file", 8),
        (f"{top}/b.a", "dir", None),
        (f"{top}/b.a/data", "file", 8),
        (f"{top}/empty", "dir", None),
        (f"{top}/link", "symlink", None),
        (f"{top}/é", "dir", None),
        (f"{top}/é/data", "file", 7),
    ]


def test_files_below_a_directory(repository: Repository, tree: Path) -> None:
    odd = ('a"type":"file"b', "back\\slash", "<&>", "line\nfeed")
    for name in odd:
        (tree / "b" / name).write_bytes(b"1")
    saved, top = repository.save_directory(tree, [TAG], HOST), str(tree)
    found = list(repository.files(saved.snapshot, top))
    listed = nodes(repository, saved.snapshot)
    assert found == [(path, size) for path, kind, size in listed if kind == "file"]
    assert {f"{top}/b/{name}" for name in odd} < {path for path, _ in found}
    assert len(found) == 6 + len(odd)


def test_files_below_some_directories(repository: Repository, tree: Path) -> None:
    saved, top = repository.save_directory(tree, [TAG], HOST), str(tree)
    found = repository.files(saved.snapshot, top, "b", "B", "not there")
    assert list(found) == [(f"{top}/B/data", 6), (f"{top}/b/data", 6)]
    assert list(repository.files(saved.snapshot, f"{top}/not/there")) == []
    assert list(repository.files(saved.snapshot, "/not there")) == []
    with pytest.raises(ToolFailed, match="not a directory"):
        list(repository.files(saved.snapshot, f"{top}/b/data"))
    with pytest.raises(ToolFailed):
        list(repository.files("0" * 64, top))


def test_it_comes_back_as_it_was(repository: Repository, tree: Path, tmp_path: Path) -> None:
    saved = repository.save_directory(tree, [TAG], HOST, compress=False)
    target = tmp_path / "target"
    target.mkdir()
    restored = repository.restore(f"{saved.snapshot}:{tree}", target)
    assert restored.bytes == saved.bytes
    assert (target / "b" / "data").read_bytes() == b"b/data"
    found = (target / "b" / "data").stat()
    assert (found.st_mode & 0o7777, found.st_mtime_ns) == (0o640, 1_700_000_000_123_456_789)
    assert (target / "link").readlink() == Path("b/data")
    assert (target / "empty").is_dir()
    assert sorted(path.name for path in target.iterdir()) == sorted(path.name for path in tree.iterdir())


def test_only_what_is_asked_for_comes_back(repository: Repository, tree: Path, tmp_path: Path) -> None:
    saved = repository.save_directory(tree, [TAG], HOST)
    (tmp_path / "patterns").write_text("/b/data\n/B\n")
    target = tmp_path / "target"
    repository.restore(f"{saved.snapshot}:{tree}", target, include=tmp_path / "patterns")
    found = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert found == ["B/data", "b/data"]


def test_what_is_there_is_left_as_it_is(repository: Repository, tree: Path, tmp_path: Path) -> None:
    """With `keep`, also where it has another name elsewhere; directories are as they were all the same."""
    (tree / "b").chmod(0o710)
    saved = repository.save_directory(tree, [TAG], HOST)
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    (target / "b").mkdir(parents=True)
    elsewhere.write_text("other")
    elsewhere.chmod(0o600)
    os.utime(elsewhere, ns=(1, 1))
    (target / "b" / "data").hardlink_to(elsewhere)
    repository.restore(f"{saved.snapshot}:{tree}", target, keep=True, exclude="/B/*")
    found = elsewhere.stat()
    assert (elsewhere.read_text(), found.st_mode & 0o777, found.st_mtime_ns) == ("other", 0o600, 1)
    assert (target / "b" / "data").samefile(elsewhere)
    assert (target / "b").stat().st_mode & 0o777 == 0o710
    assert list((target / "B").iterdir()) == [], "left out, and the directory itself not"


def test_owners_modes_and_times_of_files(repository: Repository, tree: Path) -> None:
    saved = repository.save_directory(tree, [TAG], HOST)
    found = {file.path: file for file in repository.owned_files(saved.snapshot, str(tree))}
    file, status = found["b/data"], (tree / "b/data").stat()
    assert (file.size, file.uid, file.gid) == (6, status.st_uid, status.st_gid)
    assert (file.mode, file.modified_ns) == (0o640, 1_700_000_000_123_456_789)
    assert set(found) < {str(path.relative_to(tree)) for path in tree.rglob("*")}
    assert list(repository.owned_files(saved.snapshot, f"{tree}/none")) == []


def test_progress_is_told(repository: Repository, tree: Path, tmp_path: Path) -> None:
    updates: list[Update] = []
    saved = repository.save_directory(tree, [TAG], HOST, listener=updates.append)
    assert updates[-1] == Update(str(tree), finished=True)
    updates.clear()
    repository.restore(saved.snapshot, tmp_path / "target", listener=updates.append)
    assert updates[-1] == Update(str(tmp_path / "target"), finished=True)
    assert {update.unit for update in updates[:-1]} <= {"bytes"}


def test_a_directory_that_is_not_there(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(ToolFailed):
        repository.save_directory(tmp_path / "none", [TAG], HOST)
    assert names(repository) == []


def test_a_file_that_cannot_be_read_is_a_failure(repository: Repository) -> None:
    """restic stores a snapshot all the same (exit code 3): for registry data that is no backup."""
    # It opens, and then reading its first byte fails, for root too.
    unreadable = Path(f"/proc/{os.getpid()}/mem")
    with pytest.raises(SourceChanged, match=r"some files could not be read: .*input/output error"):
        repository.save_directory(unreadable, [TAG], HOST)


def test_what_is_not_in_a_snapshot(repository: Repository, tmp_path: Path) -> None:
    saved = repository.save_stream([b"x"], "x", [TAG], HOST)
    with pytest.raises(ToolFailed):
        content(repository, saved.snapshot, "/y")
    with pytest.raises(ToolFailed):
        content(repository, "0123456789abcdef", "/x")
    with pytest.raises(ToolFailed):
        repository.restore(f"{saved.snapshot}:/y", tmp_path / "target")


# Many snapshots, and their removal


def test_snapshots_by_tag_oldest_first_and_forgetting(repository: Repository) -> None:
    saved = [repository.save_stream([text], "x", [TAG], HOST).snapshot for text in (b"1" * 9_000, DATA)]
    other = repository.save_stream([b"3"], "x", ["other"], HOST).snapshot
    assert names(repository) == saved
    assert [snapshot.id for snapshot in repository.snapshots("other")] == [other]
    size = stored(repository)
    repository.forget([saved[1]])
    repository.prune()
    assert names(repository) == [saved[0]]
    assert stored(repository) < size - len(DATA) / 2
    assert content(repository, saved[0], "/x") == b"1" * 9_000
    integrity.check(repository.access, "100%")


def stored(repository: Repository) -> int:
    return sum(
        path.stat().st_size for path in Path(repository.access.url, "data").rglob("*") if path.is_file()
    )


def test_forgetting_nothing_forgets_nothing(repository: Repository) -> None:
    saved = repository.save_stream([b"1"], "x", [TAG], HOST)
    repository.forget([])
    assert names(repository) == [saved.snapshot]


# Damage


def test_a_flipped_byte_is_found_by_reading(repository: Repository) -> None:
    saved = repository.save_stream([DATA], "x", [TAG], HOST)
    pack = max(
        Path(repository.access.url, "data").rglob("*"), key=lambda path: path.stat().st_size * path.is_file()
    )
    pack.chmod(0o600)
    with pack.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"\0" * 16)
    integrity.check(repository.access)  # looks at the structure alone: that is why drkit hashes
    with pytest.raises(RepositoryDamaged):
        integrity.check(repository.access, "100%")
    with pytest.raises(ToolFailed):
        content(repository, saved.snapshot, "/x")


def test_files_are_dated_as_asked(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any zone: here the clock shows this time twice in the same night."""
    monkeypatch.setenv("TZ", "America/New_York")
    (tmp_path / "file").write_text("content")
    at = datetime(2026, 11, 1, 6, 30, 5, tzinfo=UTC)
    repository.save_files(tmp_path, ["file"], [TAG], HOST, at)
    (found,) = repository.snapshots(TAG)
    assert found.time == at


def test_files_are_told_as_soon_as_they_are_whole(repository: Repository, tree: Path, tmp_path: Path) -> None:
    saved = repository.save_directory(tree, [TAG], HOST)
    target = tmp_path / "target"
    (target / "B").mkdir(parents=True)
    (target / "B" / "data").write_bytes(b"was here")
    told = {}
    for path in repository.restored_files(f"{saved.snapshot}:{tree}", target, keep=True):
        file = target / path.lstrip("/")
        if file.is_file() and not file.is_symlink():
            told[path] = file.read_bytes()
    # What was there already stays, and nobody is told of it.
    assert "/B/data" not in told
    assert (target / "B" / "data").read_bytes() == b"was here"
    assert told["/b/data"] == b"b/data"
