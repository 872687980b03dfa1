"""Whether there is room to work: one threshold for backups, which refuse to begin, and for warnings."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from drkit import config
from drkit.errors import ToolFailed

# Below this no backup begins.
NEEDED = 64 << 20
HINT = "make room on that disk; where the repository is on it, `drkit expire` may do so"


def full(settings: config.Config) -> Iterator[str]:
    """The disks of drkit's own on which no backup begins, as sentences."""
    for path in _places(settings):
        if is_full(path):
            yield f"the disk of {path} is full: less than {NEEDED >> 20} MiB are free"


def is_full(path: Path) -> bool:
    """Whether the disk of a directory has less room than a backup needs at least."""
    return shutil.disk_usage(path).free < NEEDED


def refuse_full(settings: config.Config) -> None:
    """Raise ToolFailed for a full disk: it fails every part in its own way; one sentence before is better."""
    for sentence in full(settings):
        raise ToolFailed(sentence, hint=HINT)


def _places(settings: config.Config) -> Iterator[Path]:
    """The state directory and a repository that is a directory here."""
    for path in (settings.site.state, Path(settings.primary.url.removeprefix("local:"))):
        if path.is_dir():
            yield path
