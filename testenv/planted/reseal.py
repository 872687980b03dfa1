"""Other content in a seal, as somebody could put it there who has the repository's password."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from testenv.under_fire.stored import Repository


def manifest(repository: Repository, point: str) -> dict[str, Any]:
    """A point's manifest."""
    found: dict[str, Any] = json.loads(
        _restic(repository, "/", "dump", repository.seal(point), "/manifest.json")
    )
    return found


def content(repository: Repository, point: str, part: str) -> tuple[str, bytes]:
    """Path and bytes of a part that is one file, such as `secrets:secrets`."""
    described = _described(manifest(repository, point), part)
    snapshot = described["snapshot"] or repository.seal(point)
    return described["path"], _restic(repository, "/", "dump", snapshot, described["path"])


def reseal(
    repository: Repository,
    point: str,
    part: str,
    data: bytes,
    change: Callable[[dict[str, Any]], object] = lambda _manifest: None,
) -> None:
    """Store a seal with other bytes for a part in place of the old one; `change` may alter its manifest."""
    replaced = ""
    with _opened(repository, point) as seal:
        described = _described(seal.manifest, part)
        # An inventory counts the blobs that it lists.
        if described["kind"] != "inventory":
            described["bytes"] = len(data)
        if replaced := described["snapshot"]:
            tags = [*(tag for tag in seal.tags if tag != "drkit:manifest"), f"drkit:part:{part}"]
            described["snapshot"] = _store_file(repository, described["path"], data, tags, seal.host)
        else:
            Path(f"{seal.directory}{described['path']}").write_bytes(data)
        change(seal.manifest)
    if replaced:
        _restic(repository, "/", "forget", replaced)


def change_manifest(repository: Repository, point: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Store a seal with another manifest in place of the old one."""
    with _opened(repository, point) as seal:
        change(seal.manifest)


@dataclass(frozen=True)
class _Seal:
    """A seal's files, its manifest, and how it was stored."""

    directory: Path
    manifest: dict[str, Any]
    tags: list[str]
    host: str


@contextlib.contextmanager
def _opened(repository: Repository, point: str) -> Iterator[_Seal]:
    """A seal that may be changed; then it is stored, and the old one forgotten."""
    old = repository.seal(point)
    (found,) = json.loads(_restic(repository, "/", "snapshots", "--json", old))
    with tempfile.TemporaryDirectory() as top:
        _restic(repository, "/", "restore", old, "--target", top)
        file = Path(top, "manifest.json")
        seal = _Seal(Path(top), json.loads(file.read_text()), found["tags"], found["hostname"])
        yield seal
        file.write_text(json.dumps(seal.manifest))
        _store(repository, seal.directory, seal.tags, seal.host)
    _restic(repository, "/", "forget", old)


def _store_file(repository: Repository, path: str, data: bytes, tags: Sequence[str], host: str) -> str:
    with tempfile.TemporaryDirectory() as top:
        Path(f"{top}{path}").write_bytes(data)
        return _store(repository, Path(top), tags, host)


def _store(repository: Repository, directory: Path, tags: Sequence[str], host: str) -> str:
    names = sorted(path.name for path in directory.iterdir())
    labels = [word for tag in tags for word in ("--tag", tag)]
    words = ("backup", "--json", "--host", host, *labels, "--", *names)
    said = _restic(repository, str(directory), *words)
    return str(json.loads(said.splitlines()[-1])["snapshot_id"])


def _described(document: dict[str, Any], part: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = (each for each in document["parts"] if f"{each['kind']}:{each['name']}" == part)
    return found


def _restic(repository: Repository, directory: str, *words: str) -> bytes:
    where = ("--repo", str(repository.location), "--password-file", str(repository.password_file))
    return subprocess.run(
        ["restic", *where, "--no-cache", "--quiet", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd=directory,
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8"},
    ).stdout
