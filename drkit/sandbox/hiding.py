"""What a sandbox's servers do not see of this machine: production's own files, where drkit has the rights.

Empty directories are mounted over them, for each server alone, and are gone with it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from drkit import config
from drkit.errors import ToolFailed
from drkit.registry import storage
from drkit.tools.process import execute
from drkit.tools.process.command import Command

# A dump's statements run as PostgreSQL's user, who may be production's as well: its socket and its data.
_POSTGRES = (Path("/run/postgresql"), Path("/var/lib/postgresql"))


@dataclass(frozen=True)
class Hidden:
    """The paths that are hidden, none below another."""

    paths: tuple[Path, ...] = ()

    @property
    def said(self) -> str:
        """What of production is hidden, in words."""
        if not self.paths:
            return "production is not hidden from the servers: it is not here, or drkit may not mount"
        return f"hidden from the sandbox's servers: {', '.join(map(str, self.paths))}"

    @property
    def mounts(self) -> tuple[tuple[str, ...], ...]:
        """The mounts that hide them from the command that has these."""
        return tuple(
            ("mount", "-t", "tmpfs", "-o", "ro,size=4k,mode=0555", "none", str(path))
            if path.is_dir()
            else ("mount", "--bind", "/dev/null", str(path))
            for path in self.paths
        )

    def prove(self, pid: int) -> None:
        """See that a running server has nothing of them; raises ToolFailed."""
        for path in self.paths:
            seen = Path(f"/proc/{pid}/root{path}")
            try:
                empty = not any(seen.iterdir()) if seen.is_dir() else stat.S_ISCHR(seen.stat().st_mode)
            except OSError as error:
                raise ToolFailed(f"cannot look at {seen}: {error.strerror}") from None
            if not empty:
                raise ToolFailed(f"a server of the sandbox sees {path}, which is production's")


NOTHING_HIDDEN = Hidden()


def hide(settings: config.Config, sandbox: Path) -> Hidden:
    """Production's registry, secrets and PostgreSQL; nothing where mounts of one's own are not allowed."""
    if os.geteuid() != 0:
        return NOTHING_HIDDEN
    wanted = [*settings.secrets.paths, *_POSTGRES]
    match settings.blobs:
        case config.FilesystemBlobs(path=path):
            wanted.append(path / storage.TREE.parts[0])
        case config.LayoutBlobs(path=path):
            wanted.append(path)
        case _:
            pass
    found = Hidden(tuple(_outermost(wanted, sandbox.resolve())))
    if not found.paths:
        return found
    tried = execute.run(Command(("true",), mounts=found.mounts))
    return found if tried.code == 0 else NOTHING_HIDDEN


def _outermost(paths: Iterable[Path], sandbox: Path) -> Iterable[Path]:
    """Those that are there and do not hold the sandbox, each once and without what is below another."""
    real = {path.resolve() for path in paths if path.exists()}
    real = {path for path in real if path not in (sandbox, *sandbox.parents)}
    return sorted(path for path in real if not real.intersection(path.parents))
