"""What manifests tell of certificates and keys: problems by kind; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from drkit.model import Point, PointManifest, Problem, ProblemKind
from drkit.secrets import lost_keys
from drkit.secrets.expiry import expiry_fault
from drkit.secrets.kinds import SecretKind
from drkit.secrets.lost_keys import Became, LostKey


def problems(points: Sequence[Point], now: datetime, warning: timedelta) -> Iterator[Problem]:
    """Certificates of the newest point that end, and keys that are gone, others or of no use.

    The latter are told until a full drill of a later point has passed, or the files are back as they were.
    `points` are the sealed ones, newest first.
    """
    manifests = lost_keys.since_proof(points)
    if not manifests:
        return
    newest, *earlier = manifests
    for facts in newest.certificates:
        if fault := expiry_fault(facts.not_before, facts.not_after, now, warning):
            said = f"the certificate {facts.path} ({facts.subject}) {fault}"
            yield Problem(
                ProblemKind.CERTIFICATE,
                said,
                "renew it; the next backup takes the new one",
                subject=facts.path,
            )
    lost = lost_keys.find(newest.secret_files, newest.fingerprint_key, newest.secret_paths, earlier)
    yield from map(_lost, lost)
    yield from _incomparable(newest, earlier)
    proven = next(point for point in points if point.manifest).was_proven
    told = {loss.file.path for loss in lost}
    for each in () if proven else newest.key_faults:
        if each.path not in told:
            hint = "repair the files, then run `drkit backup`; a drill of this point would fail"
            yield Problem(ProblemKind.KEY_FAULT, f"in point {newest.id} {each.said}", hint, subject=each.path)


def _lost(loss: LostKey) -> Problem:
    kind = ProblemKind.SECRET_REPLACED if loss.irreplaceable else ProblemKind.KEY_LOST
    if loss.became is Became.ANOTHER:
        return Problem(
            kind, loss.said, "`drkit drill` shows whether the new one fits", subject=loss.file.path
        )
    hint = (
        f"put it back (`drkit restore {loss.since} --only secrets --root DIR` has it) and run `drkit backup`;"
        " if it is intended, run `drkit drill`"
    )
    return Problem(kind, loss.said, hint, subject=loss.file.path)


def _incomparable(newest: PointManifest, earlier: Sequence[PointManifest]) -> Iterator[Problem]:
    """Whether the secret key is still the same cannot be told of points that two machines made."""
    keys = [file.path for file in newest.secret_files if file.what == SecretKind.SECRET_KEY]
    for before in earlier[-1:]:
        comparable = newest.fingerprint_key and before.fingerprint_key == newest.fingerprint_key
        if keys and before.secret_files and not comparable:
            said = (
                f"whether the secret key {keys[0]} is the one of point {before.id} cannot be told:"
                " that was made by another machine or state directory"
            )
            yield Problem(
                ProblemKind.SECRET_REPLACED, said, "`drkit drill` shows whether it fits", subject=keys[0]
            )
