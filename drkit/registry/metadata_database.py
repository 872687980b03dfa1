"""The metadata database of GitLab's registry: where there is one, tags and manifests are in PostgreSQL.

Blobs stand in the same tree as anybody's, without a link by which a repository has them. So a tree alone
would seem to hold nothing. Such a registry leaves a file in its storage that says so, and another one where
it has links (GitLab's manual, "Container registry metadata database": lock files).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath

from drkit.errors import NotSupported

_LOCKS = PurePosixPath("docker/registry/lockfiles")
IN_USE = _LOCKS / "database-in-use"
LINKS_IN_USE = _LOCKS / "filesystem-in-use"
_HINT = "back this registry up as GitLab's manual says; one without that database can be protected by drkit"


def refuse(enabled: str, file: Path, root: Path | None = None) -> None:
    """Raise NotSupported where `database.enabled` in a configuration says that there is one, or may be.

    `prefer` leaves it to what is in the storage, below `root` if that is a directory.
    """
    if enabled in ("", "false"):
        return
    if enabled == "prefer" and root and (root / LINKS_IN_USE).exists() and not (root / IN_USE).exists():
        return
    raise NotSupported(
        f"{file} is that of a GitLab registry with a metadata database (database.enabled is {enabled}): its"
        " tags and manifests are in PostgreSQL, and this version of drkit cannot prove that they fit the"
        " images",
        hint=_HINT,
    )


def refuse_tree(where: str, holds: Callable[[PurePosixPath], bool]) -> None:
    """Raise NotSupported where a registry with such a database has left its mark in a storage tree.

    `holds` says whether the tree has a file of that path, relative to its root.
    """
    if holds(IN_USE):
        raise NotSupported(
            f"{where} is that of a GitLab registry with a metadata database ({IN_USE} is there): its tags and"
            " manifests are in PostgreSQL, and this version of drkit cannot prove that they fit the images",
            hint=_HINT,
        )
