"""What a drill is asked for, and which wishes exclude each other; pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from drkit.errors import UsageError
from drkit.harbor import versions
from drkit.model import (
    Level,
)


@dataclass(frozen=True)
class DrillOptions:
    """What the command line says."""

    point: str | None = None
    random: bool = False
    oldest: bool = False
    level: Level = "full"
    report: Path | None = None
    identity: Path | None = None
    repository: str | None = None
    junit: Path | None = None
    upgrade_to: str | None = None
    # The address of a scheduler whose workers bring the blobs, instead of what [cluster] says.
    cluster: str | None = None


def refuse_several(options: DrillOptions) -> None:
    """Raise UsageError for several ways to choose the point: they may mean different ones."""
    ways = [*(["a POINT"] if options.point is not None else [])]
    ways += ["--random"] if options.random else []
    ways += ["--oldest"] if options.oldest else []
    if len(ways) > 1:
        raise UsageError(f"{' and '.join(ways)} choose different points", hint="leave all but one out")


def refuse_upgrade(options: DrillOptions) -> None:
    """Raise UsageError for an upgrade that cannot be meant."""
    if options.upgrade_to is None:
        return
    if versions.release(options.upgrade_to) is None:
        raise UsageError(
            f'"{options.upgrade_to}" is no release of Harbor', hint="give --upgrade-to a tag such as v2.15.2"
        )
    if options.level != "full":
        raise UsageError("--upgrade-to starts Harbor, which a quick drill does not", hint="leave --level out")
