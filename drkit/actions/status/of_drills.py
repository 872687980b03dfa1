"""What drills tell of a site: problems by kind; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from drkit.model import CLOCK_SKEW, DrillNote, Outcome, Point, Problem, ProblemKind
from drkit.points import seals
from drkit.points.listing import Listing
from drkit.tools.recipient import named, short


def in_order(sealed: Sequence[Point], now: datetime) -> tuple[DrillNote, ...]:
    """The drills of these points that are not dated in the future, the oldest first."""
    every = (drill for point in sealed for drill in point.drills if drill.finished_at <= now + CLOCK_SKEW)
    return tuple(sorted(every, key=lambda drill: drill.finished_at))


def problems(sealed: Sequence[Point], drills: Sequence[DrillNote]) -> Iterator[Problem]:
    """Drills that did not pass."""
    said = set()
    # A quick one that passes takes nothing back of what a full one has found.
    for drill in dict.fromkeys([*drills[-1:], *[d for d in drills if d.level == "full"][-1:]]):
        if drill.outcome is not Outcome.PASSED:
            said.add(drill.id)
            hint = "its report says why; fix the cause, and run `drkit drill` again"
            yield Problem(ProblemKind.DRILL, outcome(drill), hint, subject=drill.level, cause=drill.id)
    yield from _keys_unproven(sealed, drills)
    for point in sealed:
        last = point.last_drill
        if last and last.id not in said and last.outcome is Outcome.FAILED:
            bad = f"point {point.id} did not pass its last drill ({last.id})"
            yield Problem(
                ProblemKind.DRILL, bad, "newer points are not concerned", red=False, subject=point.id
            )


def unread(listing: Listing, repository: str, now: datetime) -> Iterator[Problem]:
    """Drills whose reports cannot be read: whether they passed nobody can tell.

    What a full drill has proved since makes good for one.
    """
    proofs = (note.finished_at for note in listing.drills if note.proves)
    proved = max((at for at in proofs if at <= now + CLOCK_SKEW), default=None)
    for drill, snapshot in listing.unread.items():
        name = seals.shown(drill)
        said = f"the report of drill {name} in {repository} cannot be read: nobody knows whether it passed"
        hint = "run `drkit drill`; `drkit verify` says what is damaged"
        red = proved is None or proved < snapshot.time
        yield Problem(ProblemKind.DRILL, said, hint, red=red, subject=f"{repository}/{name}", cause=name)


def _keys_unproven(sealed: Sequence[Point], drills: Sequence[DrillNote]) -> Iterator[Problem]:
    """What drills have opened is not what is there now."""
    shut = _shut(sealed, drills)
    if shut:
        yield shut
        return
    proof = next((drill for drill in reversed(drills) if drill.proves), None)
    if proof and any(p.id == proof.point and p.keys_unproven for p in sealed):
        said = (
            f"the secrets of point {proof.point} were encrypted again since its drill ({proof.id}) passed:"
            " no point is proven with the new keys"
        )
        yield Problem(ProblemKind.UNPROVEN_KEYS, said, "run `drkit drill`")


def _shut(sealed: Sequence[Point], drills: Sequence[DrillNote]) -> Problem | None:
    """The newest secrets are encrypted to recipients whose identities no passed drill has used."""
    newest = next((point.manifest for point in sealed if point.manifest), None)
    opened = {key for drill in drills if drill.outcome is Outcome.PASSED for key in drill.opened}
    if newest is None or not newest.part("secrets") or not opened:
        return None
    if any(named(text).key in opened for text in newest.recipients):
        return None
    names = ", ".join(named(text).name or short(text) for text in newest.recipients)
    said = (
        f"the secrets of point {newest.id} are encrypted to {names}, which no passed drill has opened:"
        " the point is not proven with the new keys"
    )
    hint = "run `drkit drill`; if no identity opens it, correct `recipients` and run `drkit backup`"
    return Problem(ProblemKind.UNPROVEN_KEYS, said, hint)


def outcome(drill: DrillNote) -> str:
    """A drill that did not pass, in a sentence."""
    if drill.outcome is Outcome.FAILED:
        return f"the last {drill.level} drill ({drill.id}) failed"
    return f"the last {drill.level} drill ({drill.id}) came to no verdict"
