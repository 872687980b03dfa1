"""The restored tree is one of directories and files, so that nothing in it leads anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from drkit.blobs.directory.cleaning import Cleaned, clean
from drkit.checks.finding import Control, Finding, failed, passed
from drkit.registry import storage


def only_files(found: Cleaned, apart: str = "") -> Finding:
    """Nothing had to be taken out of the tree before it could be served; `apart` is said beside that."""
    if found.strange:
        return failed("; ".join(found.sentences))
    more = f"; {apart}" if apart else ""
    return passed(f"no link leads out of the restored tree, and no device or pipe is in it{more}")


def controls(scratch: Path) -> Iterator[Control]:
    """A symbolic link where a project should be."""
    yield Control("symbolic link", "one in place of a project", lambda: _with_link(scratch))


def _with_link(root: Path) -> Finding:
    (root / storage.BLOBS).mkdir(parents=True)
    (root / storage.REPOSITORIES).mkdir()
    (root / storage.REPOSITORIES / "library").symlink_to("/")
    return only_files(clean(root))
