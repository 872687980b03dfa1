"""Putting another bundle or list into a sealed point, as somebody could who has the repository's password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testenv.planted import reseal as seals
from testenv.under_fire.stored import Repository
from tests.e2e.commands import Drkit

_BUNDLE = "secrets:secrets"


def manifest_of(drkit: Drkit) -> dict[str, Any]:
    """The only point's manifest."""
    return seals.manifest(_repository(drkit), _point(drkit))


def sealed_bundle(drkit: Drkit) -> bytes:
    """The only point's encrypted bundle."""
    return seals.content(_repository(drkit), _point(drkit), _BUNDLE)[1]


def reseal(
    drkit: Drkit, bundle: bytes, change: Callable[[dict[str, Any]], object] = lambda _manifest: None
) -> None:
    """Put the bundle into the only point's seal, and into its manifest what `change` makes of it."""
    seals.reseal(_repository(drkit), _point(drkit), _BUNDLE, bundle, change)


def change_tags(drkit: Drkit, change: Callable[[bytes], bytes]) -> None:
    """Put another list of images into the only point's seal."""
    point, part = _point(drkit), "tags:tags"
    _, data = seals.content(_repository(drkit), point, part)
    seals.reseal(_repository(drkit), point, part, change(data))


def _repository(drkit: Drkit) -> Repository:
    return Repository(drkit.repository, drkit.restic_password)


def _point(drkit: Drkit) -> str:
    (point,) = drkit.sealed()
    return point
