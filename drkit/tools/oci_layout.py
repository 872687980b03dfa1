"""An OCI image layout: a directory that skopeo, containerd and others take for a registry.

`blobs/sha256/<hex>` whatever the repository; `index.json` names the images (image-layout.md of the OCI image
specification). A blob has its name only once it is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from drkit.errors import ConfigError, ToolFailed, UsageError
from drkit.files import replace_file

Body = Callable[[], Iterator[bytes]]
_NAME = "org.opencontainers.image.ref.name"
_INDEX = "application/vnd.oci.image.index.v1+json"
_PARTIAL = ".drkit-"
_MODE = 0o644


class OciLayout:
    """A layout that images are put into, for several threads at once; raises ToolFailed, ConfigError.

    An image is called `repository:tag` in it; several layouts' worth of repositories fit into one.
    """

    def __init__(self, directory: Path, *, look_only: bool = False) -> None:
        self.where = f"oci:{directory}"
        self._top = directory
        self._look_only = look_only
        self._images: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def __enter__(self) -> OciLayout:
        if self._top.exists() and not (self._top / "oci-layout").is_file() and any(self._top.iterdir()):
            raise UsageError(f"{self._top} is there and is no OCI layout", hint="name another directory")
        if not self._look_only:
            self._open()
        with contextlib.suppress(FileNotFoundError):
            try:
                found = json.loads((self._top / "index.json").read_bytes())
                self._images = list(found.get("manifests") or ())
            except (ValueError, AttributeError, TypeError):
                raise ConfigError(
                    f"{self._top}/index.json is no index", hint="name another directory"
                ) from None
        return self

    def _open(self) -> None:
        blobs = self._top / "blobs/sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        self._held = os.open(self._top, os.O_RDONLY)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._held)
            raise ConfigError(
                f"another drkit writes to {self._top}", hint="wait until it has ended"
            ) from None
        # What a killed run left.
        for path in blobs.glob(f"{_PARTIAL}*"):
            path.unlink()
        replace_file(self._top / "oci-layout", '{"imageLayoutVersion": "1.0.0"}\n', mode=_MODE)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._look_only:
            return
        # Blobs of an image that is not named yet harm nobody; the next run finds them.
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": self._images}
        replace_file(self._top / "index.json", json.dumps(index, indent=1) + "\n", mode=_MODE)
        os.close(self._held)

    def look(self) -> None:
        """A directory lets everybody in."""

    def manifest(self, repository: str, reference: str) -> str | None:
        """The digest of what a repository has under a tag or digest, or None."""
        if ":" in reference:
            return reference if self._path(reference).is_file() else None
        with self._lock:
            name = f"{repository}:{reference}"
            return next((str(e["digest"]) for e in self._images if self._name_of(e) == name), None)

    @staticmethod
    def _name_of(entry: dict[str, Any]) -> str:
        return str((entry.get("annotations") or {}).get(_NAME, ""))

    def has_blob(self, _repository: str, digest: str) -> bool:
        """Whether the layout has a blob."""
        return self._path(digest).is_file()

    def mount(self, _repository: str, digest: str, _source: str) -> bool:
        """Blobs are of no repository here."""
        return self._path(digest).is_file()

    def push_blob(self, _repository: str, digest: str, _size: int, body: Body) -> None:
        """Write a blob."""
        self._write(digest, body())

    def _write(self, digest: str, pieces: Iterator[bytes]) -> None:
        path = self._path(digest)
        descriptor, name = tempfile.mkstemp(prefix=_PARTIAL, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), _MODE)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def push_manifest(self, _repository: str, digest: str, _kind: str, data: bytes) -> None:
        """Write a manifest."""
        self._write(digest, iter([data]))

    def lacks_referrers(
        self, _repository: str, _subject: str, _described: Sequence[Mapping[str, Any]]
    ) -> bool:
        """A layout has no lists of referrers: who reads it looks at the manifests in its index."""
        return False

    def list_referrers(
        self, _repository: str, _subject: str, _described: Sequence[Mapping[str, Any]]
    ) -> None:
        """Nor is one written."""

    def name(self, repository: str, tag: str, digest: str, kind: str, data: bytes) -> None:
        """Name an image in the index; without a `tag` it is found by its digest, or its subject."""
        entry: dict[str, Any] = {"mediaType": kind, "digest": digest, "size": len(data)}
        if tag:
            entry["annotations"] = {_NAME: f"{repository}:{tag}"}
        with self._lock:
            kept = [e for e in self._images if self._name_of(e) != f"{repository}:{tag}"]
            if tag:
                # What has a name needs no entry without one.
                kept = [e for e in kept if e["digest"] != digest or self._name_of(e)]
            if tag or all(each["digest"] != digest for each in kept):
                self._images = [*kept, entry]

    def _path(self, digest: str) -> Path:
        algorithm, _, digits = digest.partition(":")
        if algorithm != "sha256":
            raise ToolFailed(f"a layout is written with SHA-256 digests alone, not {digest[:19]}")
        return self._top / "blobs/sha256" / digits
