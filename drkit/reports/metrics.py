"""Metrics for Prometheus, as a file for node_exporter's textfile collector.

What has never happened is written as infinitely late (time 0, or +Inf seconds): an absent series raises no
alarm, and a timer that never fired must not look like one that is fine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from drkit.errors import ConfigError
from drkit.files import replace_file
from drkit.model import Attempt, DrillNote, Objective, Outcome, Problem, ProblemKind


@dataclass(frozen=True)
class Copies:
    """What is known of a repository that points are copied to."""

    name: str
    newest_point_at: datetime | None
    sealed_points: int
    rpo: Objective | None


@dataclass(frozen=True)
class Facts:
    """What is known of a site at `written_at`; None where it has never happened."""

    site: str
    written_at: datetime
    newest_point_at: datetime | None = None
    newest_point_bytes: int = 0
    sealed_points: int = 0
    runs: tuple[Attempt, ...] = ()
    objectives: tuple[Objective, ...] = ()
    last_drill: DrillNote | None = None
    last_proof_at: datetime | None = None
    problems: tuple[Problem, ...] = ()
    repositories: tuple[Copies, ...] = ()


def write(path: Path, facts: Facts) -> None:
    """Replace the file, readable for all; raises ConfigError where that is not possible."""
    if not path.parent.is_dir():
        raise ConfigError(
            f"the directory of the metrics file {path} does not exist",
            hint="set textfile in [metrics] to the directory that node_exporter collects from",
        )
    try:
        replace_file(path, generate_latest(_collect(facts)).decode("utf-8"), mode=0o644)
    except OSError as error:
        raise ConfigError(
            f"cannot write the metrics file {path}: {error.strerror}", hint="see textfile in [metrics]"
        ) from None


def _collect(facts: Facts) -> CollectorRegistry:
    registry = CollectorRegistry()

    def gauge(name: str, says: str, value: float) -> None:
        Gauge(f"drkit_{name}", says, ["site"], registry=registry).labels(facts.site).set(value)

    gauge("written_timestamp_seconds", "When these metrics were written.", facts.written_at.timestamp())
    gauge(
        "newest_point_timestamp_seconds",
        "The moment that the newest sealed recovery point is consistent at; 0 if there is none.",
        _seconds(facts.newest_point_at),
    )
    gauge("newest_point_bytes", "The size of everything in it.", facts.newest_point_bytes)
    gauge("sealed_points", "How many sealed recovery points there are.", facts.sealed_points)
    gauge(
        "last_backup_timestamp_seconds",
        "When the last backup ended; 0 if there never was one.",
        _seconds(_when(_last(facts, "backup"))),
    )
    gauge(
        "last_backup_success",
        "1 if the last backup sealed a recovery point, 0 if not.",
        float(_good(_last(facts, "backup"))),
    )
    gauge(
        "last_proof_timestamp_seconds",
        "When a full drill last passed; 0 if none ever did.",
        _seconds(facts.last_proof_at),
    )
    gauge("green", "1 if nothing is wrong that would make `drkit status` fail.", float(_green(facts)))
    drill = facts.last_drill
    gauge(
        "last_drill_timestamp_seconds",
        "When the last drill ended; 0 if there never was one.",
        _seconds(drill.finished_at if drill else None),
    )
    if drill and drill.recovery_time_seconds is not None:
        gauge(
            "last_drill_recovery_time_seconds",
            "How long the last drill took to bring everything back.",
            drill.recovery_time_seconds,
        )
    _collect_copies(registry, facts)
    _collect_runs(registry, facts)
    _collect_problems(registry, facts)
    _collect_outcome(registry, facts)
    _collect_objectives(registry, facts)
    return registry


def _green(facts: Facts) -> bool:
    return all(o.met for o in facts.objectives) and not any(problem.red for problem in facts.problems)


def _last(facts: Facts, verb: str) -> Attempt | None:
    return next((run for run in reversed(facts.runs) if run.verb == verb and not run.running), None)


def _when(attempt: Attempt | None) -> datetime | None:
    return (attempt.ended_at or attempt.began_at) if attempt else None


def _good(attempt: Attempt | None) -> bool:
    return attempt is not None and attempt.good


def _collect_runs(registry: CollectorRegistry, facts: Facts) -> None:
    labels = ["site", "verb", "scope"]
    when = Gauge(
        "drkit_last_run_timestamp_seconds",
        "When the last run of the command ended, or began if it never ended.",
        labels,
        registry=registry,
    )
    good = Gauge(
        "drkit_last_run_success",
        "1 if it succeeded; 0 if not, or if it never ended.",
        labels,
        registry=registry,
    )
    for run in facts.runs:
        if not run.running:
            when.labels(facts.site, run.verb, run.scope).set(_seconds(_when(run)))
            good.labels(facts.site, run.verb, run.scope).set(float(run.good))


def _collect_copies(registry: CollectorRegistry, facts: Facts) -> None:
    labels = ["site", "repository"]
    newest = Gauge(
        "drkit_repository_newest_point_timestamp_seconds",
        "The moment that the newest sealed recovery point there is consistent at; 0 if there is none.",
        labels,
        registry=registry,
    )
    points = Gauge(
        "drkit_repository_sealed_points",
        "How many sealed recovery points have been copied there.",
        labels,
        registry=registry,
    )
    met = Gauge(
        "drkit_repository_rpo_met",
        "1 if the newest point there is as young as its rpo demands, 0 if not.",
        labels,
        registry=registry,
    )
    for each in facts.repositories:
        newest.labels(facts.site, each.name).set(_seconds(each.newest_point_at))
        points.labels(facts.site, each.name).set(each.sealed_points)
        if each.rpo is not None:
            met.labels(facts.site, each.name).set(float(each.rpo.met))


def _collect_problems(registry: CollectorRegistry, facts: Facts) -> None:
    """Every kind has its series, so that an alert on one is never without data."""
    count = Gauge(
        "drkit_problems",
        "How many problems of this kind there are; those that are not red leave the site green.",
        ["site", "kind", "red"],
        registry=registry,
    )
    for kind in ProblemKind:
        for red in (True, False):
            found = sum(p.kind is kind and p.red is red for p in facts.problems)
            count.labels(facts.site, kind.value, str(red).lower()).set(found)


def _collect_outcome(registry: CollectorRegistry, facts: Facts) -> None:
    outcome = Gauge(
        "drkit_last_drill_outcome",
        "1 for the outcome of the last drill, 0 for the others.",
        ["site", "outcome"],
        registry=registry,
    )
    happened = str(facts.last_drill.outcome) if facts.last_drill else "never"
    for name in (Outcome.PASSED, Outcome.FAILED, Outcome.ERROR, "never"):
        outcome.labels(facts.site, str(name)).set(float(name == happened))


def _collect_objectives(registry: CollectorRegistry, facts: Facts) -> None:
    labels = ["site", "objective"]
    met = Gauge("drkit_objective_met", "1 if the objective is met, 0 if not.", labels, registry=registry)
    target = Gauge("drkit_objective_target_seconds", "What the objective allows.", labels, registry=registry)
    actual = Gauge(
        "drkit_objective_actual_seconds",
        "The actual value; +Inf if nothing has ever been measured.",
        labels,
        registry=registry,
    )
    for objective in facts.objectives:
        seconds = objective.actual_seconds
        met.labels(facts.site, objective.name).set(float(objective.met))
        target.labels(facts.site, objective.name).set(objective.target_seconds)
        actual.labels(facts.site, objective.name).set(float("inf") if seconds is None else seconds)


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
