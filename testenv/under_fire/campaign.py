"""One campaign: points are taken while the registry is busy; then each is judged, and some are drilled."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testenv.under_fire.judge import production
from testenv.under_fire.load import under_load

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from testenv.site import Site
    from testenv.under_fire.guard import Answer, Guard
    from testenv.under_fire.judge import Judge
    from testenv.under_fire.load import Load

# What must have happened before a campaign means anything.
_TROUBLES = ("blobs collected", "schema changes")
# Who is told that garbage is being collected comes back when that is over.
_PATIENCE = 60.0


@dataclass
class Report:
    """What happened, and what was found."""

    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)
    backups: list[Answer] = field(default_factory=list)
    production: list[str] = field(default_factory=list)
    findings: dict[str, list[str]] = field(default_factory=dict)
    drills: dict[str, Answer] = field(default_factory=dict)

    @property
    def points(self) -> list[str]:
        """The sealed points, oldest first."""
        return [answer.point for answer in self.backups if answer.point]

    @property
    def unexplained(self) -> list[Answer]:
        """Backups that failed, and did not say that the registry's own life was in the way."""
        return [answer for answer in self.backups if not answer.point and not answer.reason]

    @property
    def torn(self) -> dict[str, list[str]]:
        """The sealed points that are not whole, with what is wrong."""
        return {point: found for point, found in self.findings.items() if found}

    @property
    def failed_drills(self) -> dict[str, Answer]:
        """The drills that did not pass, but for those of points from the midst of a migration.

        Harbor's core refuses to start on such a schema, so no drill of one may pass.
        """
        bad = {point: answer for point, answer in self.drills.items() if answer.code != 0}
        return {point: answer for point, answer in bad.items() if not answer.of_a_migration}

    @property
    def good(self) -> bool:
        """Whether nothing is wrong, and something was there to be wrong."""
        bad = self.unexplained or self.torn or self.failed_drills or self.production
        return bool(self.points and self.drills) and not bad


@dataclass(frozen=True)
class Campaign:
    """A site, the drkit that guards it, and who judges its points."""

    site: Site
    guard: Guard
    judge: Judge
    say: Callable[[str], None] = lambda _line: None

    def run(self, seconds: float, *, at_least: int, drills: int, random: Random) -> Report:
        """Take points for so long, and until there are enough; `drills` is how many are drilled.

        A machine that is too slow for that is given up on after twice the time and four minutes.
        """
        report = Report()
        began = time.monotonic()
        with under_load(self.site, random.randrange(1 << 30)) as load:
            while time.monotonic() < began + seconds or not _enough(report, load, at_least):
                if load.failed or time.monotonic() > began + 2 * seconds + 240:
                    break
                answer = self._take(report)
                # One that started over, or waited, says nothing of how quick backups are.
                load.backup_seconds = min(load.backup_seconds * 1.5, max(1.0, answer.seconds))
                if not answer.point:
                    load.traffic.wait_for_collection(_PATIENCE)
            report.seconds = time.monotonic() - began
        report.counts = load.traffic.counts()
        report.production = production(self.site)
        self._judge(report)
        self._drill(report, drills, random)
        return report

    def _take(self, report: Report) -> Answer:
        answer = self.guard.ask("backup")
        report.backups.append(answer)
        told = f"sealed {answer.point}" if answer.point else answer.complaint
        self.say(f"backup after {answer.seconds:.1f} s: {told}")
        return answer

    def _judge(self, report: Report) -> None:
        for point in report.points:
            report.findings[point] = self.judge.point(point)
            self.say(f"judged {point}: {report.findings[point] or 'whole'}")

    def _drill(self, report: Report, count: int, random: Random) -> None:
        """The first, the last, and others by chance."""
        points = report.points
        chosen = dict.fromkeys([*points[:1], *points[-1:], *random.sample(points, len(points))])
        for point in list(chosen)[:count]:
            report.drills[point] = self.guard.ask("drill", point)
            self.say(f"drilled {point}: {report.drills[point].complaint or 'passed'}")


def _enough(report: Report, load: Load, points: int) -> bool:
    return len(report.points) >= points and all(load.traffic.counted(what) for what in _TROUBLES)
