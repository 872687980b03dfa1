"""What is in a restic repository, read with restic alone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import subprocess
import tarfile
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Set
    from pathlib import Path

_PART = "drkit:part:"
_BLOB = re.compile(r"docker/registry/v2/blobs/sha256/../([0-9a-f]{64})/data$")
_LINK = re.compile(
    r"docker/registry/v2/repositories/(.+/(?:_layers|_manifests/revisions)/sha256/[0-9a-f]{64})/link$"
)


@dataclass(frozen=True)
class Repository:
    """A restic repository, and the file with its password."""

    location: Path
    password_file: Path

    def parts(self, point: str) -> dict[str, str]:
        """The snapshots of a point by what they hold, such as `database:registry`."""
        found = json.loads(self._run("snapshots", "--json", "--tag", f"drkit:point:{point}"))
        return {
            tag.removeprefix(_PART): snapshot["id"]
            for snapshot in found
            for tag in snapshot["tags"]
            if tag.startswith(_PART)
        }

    def seal(self, point: str) -> str:
        """The snapshot that seals a point; LookupError if there is none, or several."""
        found = json.loads(self._run("snapshots", "--json", "--tag", f"drkit:point:{point},drkit:manifest"))
        if len(found) != 1:
            raise LookupError(f"{point} has {len(found)} seals")
        return str(found[0]["id"])

    def digest(self, snapshot: str) -> str:
        """The SHA-256 of everything in a snapshot; LookupError if not all of it can be read."""
        made = hashlib.sha256()
        with self._dump(snapshot, "/", quiet=True) as source:
            while piece := source.read(1 << 20):
                made.update(piece)
        return made.hexdigest()

    def save(self, snapshot: str, path: str, target: Path) -> None:
        """Copy one file of a snapshot."""
        with target.open("wb") as file, self._dump(snapshot, path) as source:
            while piece := source.read(1 << 20):
                file.write(piece)

    def read_tree(self, snapshot: str, path: str, manifests: Set[str]) -> Tree:
        """Everything below a directory of a snapshot, each blob hashed; the bytes of `manifests` are kept."""
        tree = Tree()
        with self._dump(snapshot, path) as source, tarfile.open(fileobj=source, mode="r|") as archive:
            for member in archive:
                if member.isfile():
                    body = archive.extractfile(member)
                    assert body is not None
                    tree.add(member.name, body, manifests)
            # tar ends before the stream does.
            while source.read(1 << 16):
                pass
        return tree

    @contextlib.contextmanager
    def _dump(self, snapshot: str, path: str, *, quiet: bool = False) -> Iterator[IO[bytes]]:
        words = self._words("dump", "--archive", "tar", snapshot, path)
        # Of a damaged tree restic 0.18 tells by a crash, with pages of it.
        said = subprocess.DEVNULL if quiet else None
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=said, env=_environment()) as process:
            assert process.stdout is not None
            yield process.stdout
        if process.returncode != 0:
            raise LookupError(f"restic cannot read {path} of {snapshot}")

    def _run(self, *words: str) -> bytes:
        return subprocess.run(
            self._words(*words), check=True, stdout=subprocess.PIPE, env=_environment()
        ).stdout

    def _words(self, *words: str) -> list[str]:
        where = ["--repo", str(self.location), "--password-file", str(self.password_file)]
        return ["restic", *where, "--no-cache", "--no-lock", "--quiet", *words]


@dataclass
class Tree:
    """A registry's storage tree, as a snapshot has it."""

    sizes: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)

    def add(self, name: str, body: IO[bytes], manifests: Set[str]) -> None:
        """One file: a blob, a link, or something that nobody needs."""
        if found := _BLOB.search(name):
            self._add_blob(f"sha256:{found[1]}", body, manifests)
        elif found := _LINK.search(name):
            self.links[found[1]] = body.read(200).decode()

    def _add_blob(self, digest: str, body: IO[bytes], manifests: Set[str]) -> None:
        made, size, kept = hashlib.sha256(), 0, []
        while piece := body.read(1 << 20):
            made.update(piece)
            size += len(piece)
            if digest in manifests:
                kept.append(piece)
        self.sizes[digest] = size
        if f"sha256:{made.hexdigest()}" != digest:
            self.wrong.append(digest)
        if digest in manifests:
            self.manifests[digest] = b"".join(kept)


def read_directory(root: Path, manifests: Set[str]) -> Tree:
    """The same of a registry's root directory that nobody writes to."""
    tree = Tree()
    for path in (root / "docker/registry/v2").rglob("*"):
        if path.is_file():
            with path.open("rb") as body:
                tree.add(str(path), body, manifests)
    return tree


def _environment() -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
