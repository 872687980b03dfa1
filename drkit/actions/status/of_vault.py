"""What the vault tells of a site: damage that was found there, and locks that have ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from drkit import config
from drkit.actions.status.of_copies import Further
from drkit.blobs.ends import place_of_vault
from drkit.blobs.opening import impatient
from drkit.blobs.vault import damage, reading
from drkit.errors import Failure
from drkit.model import Point, PointStatus, Problem, ProblemKind
from drkit.tools.s3.bucket import Bucket

# The subject of the problem that nobody can look at all.
LOOK = "look"


def look(settings: config.Config) -> tuple[Problem, ...]:
    """What is written down in the vault as damaged and not yet right again.

    It stands there whichever machine found it. A vault that cannot be looked at is a problem as well.
    """
    found = [_look(settings.vault, LOOK, "the vault", "backup", "")] if settings.vault else []
    for each in settings.with_vaults:
        assert each.vault is not None
        what, of = f"the vault of {each.name}", f" --repository {each.name}"
        found.append(_look(each.vault, f"{LOOK}/{each.name}", what, f"copy --to {each.name}", of))
    return tuple(problem for problems in found for problem in problems)


def _look(vault: config.Vault, subject: str, what: str, mends: str, of: str) -> tuple[Problem, ...]:
    try:
        with Bucket(impatient(vault)) as bucket:
            found = damage.remembered(bucket, place_of_vault(vault))
    except Failure as error:
        said = f"{what} cannot be checked for damage: {error.message}"
        return (Problem(ProblemKind.VAULT, said, error.hint, subject=subject),)
    hint = f"run `drkit {mends}`, and then `drkit verify{of}`"
    return tuple(
        Problem(ProblemKind.DAMAGE, each.sentence, hint, subject=f"{what}/{each.key}".removeprefix("the "))
        for each in found
    )


def moved(configured: config.Vault | None, newest: Point | None) -> Iterator[Problem]:
    """Whether the newest point has its blobs in another vault than the configured one: pure."""
    manifest = newest.manifest if newest else None
    if configured is None or manifest is None:
        return
    place = place_of_vault(configured)
    if where := reading.elsewhere(place, [manifest]):
        said = f"the newest point has its image blobs in the vault {where}, and [vault] is {place.where}"
        yield Problem(
            ProblemKind.VAULT,
            said,
            "correct [vault]; or run `drkit backup`, which copies them there",
            subject="place",
        )


def relied_on_by_copies(settings: config.Config, further: Sequence[Further]) -> Iterator[Problem]:
    """Copies whose image blobs are in the first vault alone: with that their images are lost as well; pure.

    They are copies of all else, and whoever trusts that vault may leave it so: it is said, and is not red.
    """
    own = {repository.name for repository in settings.with_vaults}
    for each in further:
        sealed = (p for p in each.points or () if p.status is PointStatus.SEALED and p.manifest)
        newest = next(sealed, None)
        bucketed = newest.manifest.bucket if newest and newest.manifest else None
        if bucketed is None or each.name in own:
            continue
        yield Problem(
            ProblemKind.VAULT,
            f"the points in {each.name} have their image blobs in the vault {bucketed.vault.where} alone,"
            f" like those in {settings.primary.name}: if it is lost, none of them has any images",
            f"give {each.name} a vault of its own, [repository.vault] in the configuration, then run"
            f" `drkit copy --to {each.name}`",
            red=False,
            subject=f"{each.name}/alone",
        )


def ended_locks(newest: Point | None, now: datetime) -> Iterator[Problem]:
    """Whether the locks of the newest point have ended already, though retention keeps it: pure."""
    bucketed = newest.manifest.bucket if newest and newest.manifest else None
    if bucketed is None or bucketed.locked_until is None or bucketed.locked_until > now:
        return
    said = (
        f"the locks of the newest point's blobs have ended on {bucketed.locked_until:%Y-%m-%d}:"
        " whoever may delete in the vault can delete them"
    )
    yield Problem(ProblemKind.VAULT, said, "run `drkit backup`; is or was a clock wrong?", subject="locks")
