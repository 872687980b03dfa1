"""A check on a point's manifest: that production had not lost its images when the point was taken."""

from __future__ import annotations

from collections.abc import Iterator

from drkit.checks.finding import Check, failed
from drkit.model import CheckKind, CheckResult, Collapse, Reason


def checks(lost: Collapse | None) -> Iterator[CheckResult]:
    """Failed where production has lost all images and nobody has confirmed it; else there is nothing to say.

    The other checks find nothing wrong then, for there is nothing to look at.
    """
    if lost is not None:
        yield Check(CheckKind.PRODUCTION, lambda: failed(lost.said, Reason.COLLAPSED)).run()
