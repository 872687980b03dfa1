"""Sources that recovery points have and the configuration has not, and the other way round; pure.

A section that somebody took out of the configuration is not missed by anything else: what is not looked at
cannot fail.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from drkit import config
from drkit.model import Point, PointManifest, is_told

_PATHS = "secrets:"


@dataclass(frozen=True)
class Dropped:
    """A source, as `dropped` in [site] names it, and the newest point that has it."""

    source: str
    point: str

    @property
    def said(self) -> str:
        """For a person."""
        return f"{self.source} is in point {self.point}, and no longer backed up"

    @property
    def hint(self) -> str:
        """What to do about it."""
        return (
            "put it back into the configuration; or, if that is intended,"
            f' dropped = ["{self.source}"] in [site]'
        )


def of_manifest(manifest: PointManifest) -> tuple[str, ...]:
    """The sources of a point."""
    found = [f"database:{part.name}" for part in manifest.parts if part.kind == "database"]
    found += ["blobs"] if manifest.images else []
    return (*found, *(f"{_PATHS}{path}" for path in manifest.secret_paths))


def configured(settings: config.Config) -> tuple[str, ...]:
    """The sources of a configuration."""
    found = [f"database:{entry.name}" for entry in settings.databases]
    found += ["blobs"] if settings.blobs else []
    return (*found, *(f"{_PATHS}{path}" for path in settings.secrets.paths))


def dropped(settings: config.Config, sealed: Sequence[Point]) -> Iterator[Dropped]:
    """What points have and is not backed up any more, unless somebody said that this is meant.

    `sealed` are the sealed points, newest first. A configuration without sources is that of a machine which
    drills or restores: then the points are compared with the newest of them.
    """
    manifests = [point.manifest for point in sealed if point.manifest]
    now = configured(settings) or (of_manifest(manifests[0]) if manifests else ())
    told = set(settings.site.dropped)
    for manifest in manifests:
        for source in of_manifest(manifest):
            if source not in told and not _covered(source, now):
                told.add(source)
                yield Dropped(source, manifest.id)


def unprotected(settings: config.Config, sealed: Sequence[Point]) -> tuple[str, ...]:
    """What the configuration names and the newest point has not."""
    newest = next((point.manifest for point in sealed if point.manifest), None)
    if newest is None:
        return ()
    return tuple(source for source in configured(settings) if not _covered(source, of_manifest(newest)))


def idle(
    settings: config.Config, sealed: Sequence[Point], of_harbor: Collection[str] = ()
) -> tuple[str, ...]:
    """What `dropped` in [site] names although nothing is missing: misspelt, perhaps, or put back.

    `of_harbor` is what harbor.yml names and is not backed up.
    """
    now = configured(settings)
    known = {source for point in sealed if point.manifest for source in of_manifest(point.manifest)}
    needless = (s for s in settings.site.dropped if s not in known or (now and _covered(s, now)))
    return tuple(s for s in needless if not any(is_told(source, {s}) for source in of_harbor))


def _covered(source: str, among: Sequence[str]) -> bool:
    """Whether it is there, or a directory that holds it."""
    if source in among:
        return True
    if not source.startswith(_PATHS):
        return False
    above = {str(path) for path in PurePosixPath(source.removeprefix(_PATHS)).parents}
    return any(other.removeprefix(_PATHS) in above for other in among if other.startswith(_PATHS))
