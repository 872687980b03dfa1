"""Each repository, what this host could do to it, and whether any copy is safe from this host."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from drkit import config
from drkit.actions import collapsed, dropped, known_points
from drkit.actions.doctor import disk
from drkit.actions.doctor.finding import Finding
from drkit.actions.drift import look as drift
from drkit.model import CLOCK_SKEW, Point, utc_now
from drkit.points.catalog import open_catalog
from drkit.tools.restic.removals import Removals

_SAFE = "have one that lets this host only append, or that another host fills (docs/repositories.md)"


def looks(
    settings: config.Config, compared: Callable[[], drift.Look]
) -> Iterator[tuple[str, Callable[[], Iterator[Finding]]]]:
    """A look at each, so that what is wrong with one keeps nobody from looking at the others; and at all."""
    for repository in settings.repositories:
        yield f"repository {repository.name}", partial(_one, settings, repository, compared)
    if len(settings.repositories) > 1:
        yield "chunkers", lambda: _chunkers(settings)
    yield "all copies", lambda: _all(settings)


def _one(
    settings: config.Config, repository: config.Repository, compared: Callable[[], drift.Look]
) -> Iterator[Finding]:
    name = f"repository {repository.name}"
    catalog = open_catalog(settings, repository.name)
    found = catalog.repository.open()
    listing = catalog.look()
    points = listing.points
    sealed = [point for point in points if point.manifest]
    yield Finding(name, "ok", f"opens; {len(sealed)} sealed recovery points")
    missed = known_points.look(catalog, listing, found)
    for problem in missed.problems if missed else ():
        yield Finding(name, "problem", problem.message, problem.hint)
    if repository is settings.primary:
        # Only what is confirmed need be compared here: it may take a while.
        of_harbor = [each.source for each in compared().confirmed] if settings.site.dropped else []
        yield from _sources(settings, points, of_harbor)
        for problem in collapsed.problems(listing, utc_now()):
            yield Finding("production", "problem", problem.message, problem.hint)
    yield _removals(settings, repository, catalog.repository.removals())
    for broken in (point for point in points if point.broken_seal):
        hint = "run `drkit verify`; nothing of it is removed by itself"
        yield Finding(name, "warning", broken.doubt, hint)
    local = Path(repository.url)
    if local.is_dir():
        yield disk.look(f"room in {repository.name}", local)
    if sealed and sealed[0].taken_at > utc_now() + CLOCK_SKEW:
        said = "the newest recovery point is from the future"
        yield Finding("clock", "warning", said, "set the clock of this machine")


def _removals(settings: config.Config, repository: config.Repository, found: Removals) -> Finding:
    """Whether `expire` and `keys rotate --points` can do here what they are for."""
    name = f"removals from {repository.name}"
    if found.allowed:
        return Finding(name, "ok", f"are allowed: {found.why}")
    if found.kept:
        return Finding(name, "ok", f"destroy nothing: {found.kept}")
    if found.allowed is None:
        return Finding(name, "ok", f"unknown until `drkit expire` tries: {found.why}")
    said = f"are refused to this host: {found.why}"
    if repository is not settings.primary:
        # `expire` leaves it alone by itself.
        hint = f"run `drkit expire --repository {repository.name}` and `drkit keys rotate --points`"
        return Finding(name, "warning", said, f"{hint} on one that may remove")
    planned = ", and take expire off [schedule]" if settings.schedule.expire else ""
    hint = f"run `drkit expire` and `drkit keys rotate --points` on one that may remove{planned}"
    return Finding(name, "warning", said, hint)


def _sources(
    settings: config.Config, points: Sequence[Point], of_harbor: Collection[str]
) -> Iterator[Finding]:
    """What points have and is not backed up any more."""
    for gone in dropped.dropped(settings, points):
        yield Finding("sources", "problem", gone.said, gone.hint)
    for source in dropped.idle(settings, points, of_harbor):
        said = f'dropped in [site] names "{source}", which no point has or which is backed up'
        yield Finding("sources", "warning", said, "remove it there")


def _chunkers(settings: config.Config) -> Iterator[Finding]:
    """Whether what is copied is cut into the pieces that the repository has already."""
    first = open_catalog(settings).repository.chunker
    for repository in settings.repositories[1:]:
        if open_catalog(settings, repository.name).repository.chunker != first:
            yield Finding(
                f"repository {repository.name}",
                "warning",
                f"has other chunker parameters than {settings.primary.name}: if backups ever go there, they"
                " store everything that was copied once more",
                "`drkit init --copy-to URL` makes one with the same",
            )


def _all(settings: config.Config) -> Iterator[Finding]:
    """Whoever takes over this host can do what its credentials can."""
    found = [open_catalog(settings, each.name).repository.removals() for each in settings.repositories]
    safe = [each.name for each, may in zip(settings.repositories, found, strict=True) if may.safe]
    if safe:
        yield Finding("all copies", "ok", out_of_reach(settings, safe))
    elif any(may.allowed is None for may in found):
        yield Finding("all copies", "warning", "it is not known whether any is safe from this host", _SAFE)
    else:
        which = "both repositories" if len(found) == 2 else "every repository"
        said = "the only repository" if len(found) == 1 else which
        yield Finding("all copies", "warning", f"{said} can be destroyed from this host", _SAFE)


def out_of_reach(settings: config.Config, safe: Sequence[str]) -> str:
    """That these are safe from this host; their image blobs may be in a vault, which is told of elsewhere."""
    said = f"this host cannot destroy {', '.join(safe)}"
    if settings.vault is None:
        return said
    vaults = [settings.repository(name).vault or settings.vault for name in safe]
    where = ", ".join(dict.fromkeys(vault.where for vault in vaults))
    return f"{said}; the images are in {where}, of which the lines about locks tell"
