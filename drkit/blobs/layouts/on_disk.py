"""What the layouts in a directory on disk have and need; see LayoutSpool."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from drkit.blobs.layouts.spool import LayoutSpool
from drkit.errors import ToolFailed
from drkit.registry import layouts
from drkit.registry.image_manifests import LARGEST


@contextmanager
def examined(root: Path, scratch: Path) -> Iterator[LayoutSpool]:
    """All layouts below a root directory, with `scratch` as the new file; raises ToolFailed."""
    with closing(LayoutSpool(scratch)) as spool:
        fill(spool, root)
        yield spool


def fill(spool: LayoutSpool, root: Path) -> None:
    """Add all layouts below a root directory. An index that cannot be read is a fault; raises ToolFailed."""
    try:
        for repository in layouts.repositories(root):
            blobs = layouts.stored(root, repository)
            spool.add_present((repository, digest, size) for digest, size in blobs)
            _index(spool, root, repository)
        spool.walk(partial(_manifest, root))
    except OSError as error:
        raise ToolFailed(f"cannot read {error.filename}: {error.strerror}") from None


def _index(spool: LayoutSpool, root: Path, repository: str) -> None:
    try:
        spool.add_index(repository, layouts.index((root / repository / layouts.INDEX).read_bytes()))
    except ToolFailed as error:
        spool.faults.add(f"{layouts.INDEX} of {repository}: {error.message}")


def _manifest(root: Path, repository: str, digest: str) -> bytes:
    with (root / layouts.blob_name(repository, digest)).open("rb") as file:
        return file.read(LARGEST + 1)
