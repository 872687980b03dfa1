"""What is wrong with the secrets, said on the day: by backups, by `doctor`, by `status` from manifests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial

from drkit import config
from drkit.checks import certificates
from drkit.checks.certificates import expiry_fault
from drkit.model import Manifest, Outcome, Point
from drkit.sources import changes
from drkit.sources.bundle import Member


def of_content(members: Sequence[Member], now: datetime, warning: timedelta) -> tuple[str, ...]:
    """What the drill's own checks would turn red for, without a sandbox to try it in."""
    # Here and below, for `status` reads manifests alone, and needs no database and no signatures.
    from drkit.checks import keys

    files = keys.contents(members)
    pairs = keys.find_pairs(files)
    found = [keys.pairs_match(files, pairs)] if pairs else []
    # The same checks as a drill's, so that both always say the same.
    found += [check.look() for check in certificates.checks(members, now, warning)]
    return tuple(finding.detail for finding in found if finding.outcome is Outcome.FAILED)


def of_signing_keys(settings: config.Secrets, members: Sequence[Member]) -> tuple[str, ...]:
    """What is wrong with cosign's key pairs; takes a fraction of a second and 64 MiB a key.

    Raises ConfigError where the password file cannot be read.
    """
    from drkit.checks import signatures

    passwords = partial(signatures.passwords, settings, members)
    found = [check.look() for check in signatures.checks(members, passwords, None)]
    return tuple(finding.detail for finding in found if finding.outcome is Outcome.FAILED)


def of_points(points: Sequence[Point], now: datetime, warning: timedelta) -> Iterator[str]:
    """Problems that manifests tell of: certificates of the newest point, and what was replaced.

    `points` are the sealed ones, newest first.
    """
    newest = next((point.manifest for point in points if point.manifest), None)
    if newest is None:
        return
    for facts in newest.certificates:
        if fault := expiry_fault(facts.not_before, facts.not_after, now, warning):
            yield f"the certificate {facts.path} ({facts.subject}) {fault}"
    yield from _replaced(points)


def _replaced(points: Sequence[Point]) -> Iterator[str]:
    """Secret keys and authorities that are others than before.

    It is told until a full drill has passed with the new ones: that it did shows that they fit the database.
    """
    unproven = list(itertools.takewhile(lambda point: not point.proven, points))
    since = [point.manifest for point in points[: len(unproven) + 1] if point.manifest]
    for after, before in itertools.pairwise(since):
        yield from changes.grave_sentences(_compared(before, after), before.id)


def _compared(before: Manifest, after: Manifest) -> changes.Changes:
    return changes.compare(before, after.secret_files, after.fingerprint_key)
