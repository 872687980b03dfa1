"""What the ledger of a repository tells of a site: how far the reading of what is stored is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from drkit.actions.reread import recording
from drkit.model import Problem, ProblemKind
from drkit.model.reread import Reread, StoreKind
from drkit.points.catalog import Catalog
from drkit.points.ledger import keeping
from drkit.points.listing import Listing

# What the objective is about: of blobs in a repository the packs are read, whichever drill has restored them.
_JUDGED: tuple[StoreKind, ...] = ("packs", "vault")


def look(
    catalog: Catalog, listing: Listing, target: timedelta | None
) -> tuple[tuple[Reread, ...], tuple[Problem, ...]]:
    """How far it is, and that a ledger counts for nothing: red where there is an objective of it."""
    found, doubts = keeping.summaries(catalog, listing.snapshots)
    hint = "run `drkit verify --for 2h`, which begins anew with what nobody has read"
    red = target is not None
    problems = [
        Problem(ProblemKind.LEDGER, said, hint, red=red, subject=f"{catalog.name}/{number}")
        for number, said in enumerate(doubts)
    ]
    return recording.judged(found, target) if found else (), tuple(problems)


def unread_seconds(reread: Sequence[Reread], *, with_vault: bool, vault: str | None = None) -> float | None:
    """How long the longest unread bytes are so; None where nobody knows, or some were found wrong; pure.

    `with_vault`: points rely on a vault, so that of it something must be known as well. `vault` is where that
    is, if it is configured here: what was read of another one says nothing of it.
    """
    judged = [
        each
        for each in reread
        if each.kind in _JUDGED and not (vault and each.kind == "vault" and each.where != vault)
    ]
    kinds = {each.kind for each in judged}
    ages = [each.oldest_seconds for each in judged]
    if "packs" not in kinds or (with_vault and "vault" not in kinds):
        return None
    known = [age for age in ages if age is not None]
    return max(known) if len(known) == len(ages) else None
