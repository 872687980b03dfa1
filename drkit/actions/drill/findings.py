"""What a drill has found so far: whatever ends it on the way, what is here stays, and is reported; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drkit.errors import DrkitError, Failure, NoSpace
from drkit.model import CheckKind, CheckResult, ControlResult, Outcome, Unplanted
from drkit.sandbox.build import Restored, database_in
from drkit.sandbox.harbor.trial import Trial

# With less a disk is full: programs write larger pieces.
_FULL = 1 << 20
_PART_KINDS = {"blobs": CheckKind.IMAGES_RESTORE, "secrets": CheckKind.SECRETS_RESTORE}


@dataclass
class Findings:
    """Filled as the drill goes on; `tried` is what came of starting Harbor.

    `recovery` is when everything was back, None as long as a part of it was not; `vault`, `versions` and
    `first_pull_seconds` are as in DrillReport.
    """

    tried: Trial
    checks: tuple[CheckResult, ...] = ()
    controls: tuple[ControlResult, ...] = ()
    unplanted: tuple[Unplanted, ...] = ()
    problems: list[str] = field(default_factory=list)
    recovery: float | None = None
    vault: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    first_pull_seconds: float | None = None
    # The sandbox's disk, which was told.
    full: bool = False

    def add(
        self, lost: Mapping[str, Failure], groups: Mapping[str, Callable[[], Sequence[CheckResult]]]
    ) -> None:
        """Add parts that are `lost`, each as a check that came to no verdict, and what groups of checks gave.

        A group that ended in an error of its own is a problem, and costs no other group its verdicts.
        """
        found = list(restores(lost))
        for name, results in groups.items():
            try:
                found += results()
            except Failure as error:
                self.problems.append(f"check {name}: {error.message}")
        self.checks = (*self.checks, *found)

    def look_at_disk(self, directory: Path, free: int) -> None:
        """Say that the sandbox's disk is full, where so many bytes are free and something came to no verdict.

        Each program tells it in words of its own, and few of them where.
        """
        undecided = any(check.outcome is Outcome.ERROR for check in self.checks)
        if free < _FULL and (undecided or not self.controls or not all(c.caught for c in self.controls)):
            self.full = True
            self.problems.append(
                f"no space is left in the sandbox's directory {directory}: make room, or set directory in"
                " [drill] to a larger disk"
            )

    def stop(self, error: DrkitError) -> None:
        """What has ended it early."""
        if not (self.full and isinstance(error, NoSpace)):
            self.problems.append(error.message)

    def notice(self, restored: Restored) -> None:
        """Take down what served and where images came from, before the sandbox is gone."""
        if restored.registry_version:
            self.versions["registry in the sandbox"] = restored.registry_version
        if self.tried.tag:
            self.versions["Harbor in the sandbox"] = self.tried.tag
        if restored.blobs and restored.blobs.vault:
            self.vault = restored.blobs.vault.where
        self.first_pull_seconds = restored.first_pull_seconds


def restores(lost: Mapping[str, Failure]) -> Iterator[CheckResult]:
    """A check for each part that could not be restored, by the part's name: nobody can tell what is in it."""
    for part, error in lost.items():
        kind = _PART_KINDS.get(part, CheckKind.DATABASE_RESTORE)
        subject = database_in(part) if kind is CheckKind.DATABASE_RESTORE else ""
        yield CheckResult(kind, Outcome.ERROR, error.message, 0.0, subject)
