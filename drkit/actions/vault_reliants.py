"""The configured repositories as a vault records them."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from drkit import config
from drkit.blobs.vault.repositories import Recorded, Reliant
from drkit.errors import Failure
from drkit.logs import redact
from drkit.points.catalog import open_catalog

log = logging.getLogger(__name__)


def reliants(settings: config.Config) -> tuple[Reliant, ...]:
    """Every configured repository, the primary first; raises the error of one that cannot be read."""
    return tuple(_reliant(settings, repository) for repository in settings.repositories)


def reliants_at_hand(settings: config.Config, known: Sequence[Recorded]) -> tuple[Reliant, ...]:
    """The same for a backup, which copies of points elsewhere must not stop.

    Of a further repository whose address is recorded nothing is asked; one that cannot be read now is
    recorded by a later backup or by `expire`.
    """
    there = {(each.reliant.url, each.reliant.site): each.reliant for each in known if each.reliant.url}
    found = [_reliant(settings, settings.primary)]
    for repository in settings.repositories[1:]:
        recorded = there.get((redact(repository.url), settings.site.name))
        try:
            found.append(recorded or _reliant(settings, repository))
        except Failure as error:
            log.warning("repository %s is not recorded in the vault: %s", repository.name, error.message)
    return tuple(found)


def _reliant(settings: config.Config, repository: config.Repository) -> Reliant:
    found = open_catalog(settings, repository.name).repository.id
    return Reliant(found, settings.site.name, redact(repository.url))
