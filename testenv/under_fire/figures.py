"""A campaign in figures, as a table that a person reads."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testenv.under_fire.campaign import Report


def render(report: Report) -> str:
    """The whole account, and at its end what is wrong."""
    lines = [f"Under fire for {report.seconds:.0f} seconds"]
    lines += [f"  {number:>7,}  {what}" for what, number in _rows(report)]
    lines += ["", *(_troubles(report) or ["Nothing is wrong."])]
    return "\n".join(lines) + "\n"


def _rows(report: Report) -> list[tuple[str, int]]:
    sealed = [answer for answer in report.backups if answer.point]
    refused = Counter(answer.reason for answer in report.backups if not answer.point and answer.reason)
    again = sum(answer.attempts > 1 for answer in sealed)
    whole = sum(not found for found in report.findings.values())
    passed = len(report.drills) - len(report.failed_drills)
    return [
        *sorted(report.counts.items()),
        ("backups that sealed a point", len(sealed)),
        ("of these started over", again),
        *((f"backups refused because of a {reason}", number) for reason, number in sorted(refused.items())),
        ("backups that failed otherwise", len(report.unexplained)),
        ("seconds that the longest backup took", round(max(a.seconds for a in report.backups))),
        ("sealed points judged", len(report.findings)),
        ("of these whole", whole),
        ("points drilled", len(report.drills)),
        ("of these passed", passed),
    ]


def _troubles(report: Report) -> list[str]:
    return [
        *(f"failed: exit code {a.code}: {a.complaint}" for a in report.unexplained),
        *(f"torn: {point}: {line}" for point, found in report.torn.items() for line in found[:10]),
        *(f"drill failed: {point}: {a.complaint}: {a.red}" for point, a in report.failed_drills.items()),
        *(f"production itself: {line}" for line in report.production[:10]),
    ]
