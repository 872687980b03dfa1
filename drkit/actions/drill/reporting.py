"""A drill's findings as a report; pure, but for the names of the machine and of whoever started it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import drkit
from drkit import config
from drkit.actions.drill import verdict
from drkit.actions.drill.findings import Findings
from drkit.actions.drill.options import DrillOptions
from drkit.model import CLOCK_SKEW, DrillReport, Objective, PointManifest, Stage, Statement, Upgrade
from drkit.reports import statements
from drkit.sandbox.harbor.trial import Trial
from drkit.state import trail
from drkit.tools import age
from drkit.tools.age import Identity

_OTHER_VERSION = Statement("Harbor in its own version", "it was not started: this drill tried a newer one")
_STREAMED = Statement(
    "Restoring the images to a disk",
    "the sandbox's disk has no room for them: every blob was read from {where} once, as a stream, and served"
    " from there; how long a restore to a disk takes was not measured",
)


@dataclass(frozen=True)
class Reporting:
    """What is known of a drill before it begins; `repository` is its name, `streamed` as in DrillReport."""

    settings: config.Config
    manifest: PointManifest
    options: DrillOptions
    id: str
    started_at: datetime
    identities: Sequence[Identity]
    repository: str
    streamed: bool

    def report(
        self, found: Findings, stages: tuple[Stage, ...], finished_at: datetime, *, newest: bool
    ) -> DrillReport:
        """What was found; RPO is asked for where the point is the `newest`."""
        tried = found.tried
        upgrade = self._upgrade(tried)
        if upgrade is None:
            found = replace(
                found,
                checks=(*found.checks, *tried.checks),
                controls=(*found.controls, *tried.controls),
                unplanted=(*found.unplanted, *tried.unplanted),
            )
        report = self.bare(found, stages, finished_at)
        return replace(
            report,
            objectives=tuple(self._objectives(report, newest=newest)),
            unplanted=found.unplanted,
            unproved=(
                *self._streamed(),
                *statements.unproved(self.manifest, found.checks, found.unplanted, self.options.level),
                *tried.unproved,
                *((_OTHER_VERSION,) if upgrade else ()),
                statements.held_outside(self._taken()),
            ),
            databases=tuple(map(statements.summary, self.manifest.databases)),
            vault=found.vault,
            versions=report.versions | found.versions,
            upgrade=upgrade,
            first_pull_seconds=found.first_pull_seconds,
            streamed=self.streamed,
        )

    def bare(self, found: Findings, stages: tuple[Stage, ...], finished_at: datetime) -> DrillReport:
        """The same of a drill that has not come to a sandbox: nothing was proved, and nothing was not."""
        return DrillReport(
            id=self.id,
            site=self.manifest.site,
            point=self.manifest.id,
            level=self.options.level,
            outcome=verdict.decide(found.checks, found.controls, found.problems),
            started_at=self.started_at,
            finished_at=finished_at,
            consistent_at=self.manifest.consistent_at,
            checks=found.checks,
            controls=found.controls,
            stages=stages,
            recovery_time_seconds=found.recovery,
            recovery_point_age_seconds=round(
                (self.started_at - self.manifest.consistent_at).total_seconds(), 3
            ),
            objectives=(),
            versions={
                "drkit": drkit.__version__,
                **{f"point: {k}": v for k, v in self.manifest.versions.items()},
            },
            host=platform.node(),
            point_bytes=self.manifest.bytes,
            problems=tuple(found.problems),
            revision=self.manifest.revision,
            opened=age.opened(self.manifest.recipients, self.identities),
            repository=self.repository,
            started_by=", ".join(f"{how} {name}" for how, name in trail.who(os.environ).items()),
        )

    def _streamed(self) -> Iterator[Statement]:
        if self.streamed:
            where = "the vault" if self.manifest.bucket else "the repository"
            yield replace(_STREAMED, said=_STREAMED.said.format(where=where))

    def _upgrade(self, tried: Trial) -> Upgrade | None:
        """What came of a newer release: it says nothing of the point, which came back or did not."""
        if self.options.upgrade_to is None or not tried.tag:
            return None
        outcome = verdict.decide(tried.checks, tried.controls, ())
        return Upgrade(tried.tag, outcome, tried.checks, tried.controls, tried.unplanted)

    def _taken(self) -> Iterator[tuple[str, Path]]:
        """What this drill took from this machine and is not in the point: what it is, and its file."""
        chosen = self.settings.repository(self.options.repository)
        yield "the password of the repository", chosen.password_file
        if chosen.credentials_file:
            yield "the credentials of the repository", chosen.credentials_file
        vault = self.settings.vault
        if self.manifest.bucket and vault and vault.credentials_file:
            yield "the credentials of the vault", vault.credentials_file
        identity = self.options.identity or self.settings.secrets.identity_file
        if self.identities and identity:
            yield "the age identity", identity

    def _objectives(self, report: DrillReport, *, newest: bool) -> Iterator[Objective]:
        """RTO of a full drill to a disk; RPO where the point is the newest, for an old one was young once."""
        goals = self.settings.objectives
        if goals.rto and report.level == "full" and not self.streamed:
            target, actual = goals.rto.total_seconds(), report.recovery_time_seconds
            yield Objective("rto", target, actual, actual is not None and actual <= target)
        chosen = self.settings.repository(self.options.repository)
        rpo = goals.rpo if chosen is self.settings.primary else chosen.rpo
        if rpo and newest:
            target, age_seconds = rpo.total_seconds(), report.recovery_point_age_seconds
            # Of a point from the future nobody knows how old it is.
            met = -CLOCK_SKEW.total_seconds() <= age_seconds <= target
            yield Objective("rpo", target, age_seconds, met)
