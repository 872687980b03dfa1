"""What binds a point together: each part's snapshot was stored as that part of this very point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from drkit.checks.finding import Check, Control, Finding, verdict
from drkit.model import CheckKind, PointManifest
from drkit.points.seals import foreign_parts
from drkit.tools.restic.output import Snapshot


@dataclass
class Binding:
    """A manifest, the snapshots that bear its point's tag (asked for once), and the manifest of another."""

    manifest: PointManifest
    list_snapshots: Callable[[], Sequence[Snapshot]]
    other: PointManifest | None = None

    def checks(self) -> Iterator[Check]:
        """That every part belongs to this point."""
        yield Check(CheckKind.PARTS, lambda: self._look(self.manifest))

    def controls(self) -> Iterator[Control]:
        """The manifest of another point under this one's name, or this one's under another name."""
        if self.other is not None:
            forged = replace(self.other, id=self.manifest.id)
            planted = f"that of {self.other.id} under this point's name"
        else:
            forged = replace(self.manifest, id=f"{self.manifest.id}-other")
            planted = "this one under the name of a point that does not exist"
        yield Control("manifest of another point", planted, lambda: self._look(forged))

    def _look(self, manifest: PointManifest) -> Finding:
        return parts_belong(manifest, self.manifest.id, self._snapshots)

    @cached_property
    def _snapshots(self) -> Sequence[Snapshot]:
        return self.list_snapshots()


def parts_belong(manifest: PointManifest, point: str, snapshots: Sequence[Snapshot]) -> Finding:
    """Every part that the manifest names is in the repository, tagged as that part of that point."""
    faults = foreign_parts(manifest, point, snapshots)
    return verdict(faults, f"{len(manifest.parts)} parts, each stored as that part of this point")
