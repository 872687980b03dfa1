"""Metrics for Prometheus: for node_exporter's textfile collector and for the daemon's endpoint alike.

What has never happened is written as infinitely late (time 0, or +Inf seconds): an absent series raises no
alarm, and a timer that never fired must not look like one that is fine. The label `instance` is Prometheus's
own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from drkit import __version__
from drkit.errors import ConfigError
from drkit.files import replace_file
from drkit.model import Attempt, DrillNote, Outcome, ProblemKind, Status
from drkit.model.reread import Reread


def write(path: Path, text: str) -> None:
    """Replace the file, readable for all; raises ConfigError where that is not possible."""
    if not path.parent.is_dir():
        raise ConfigError(
            f"the directory of the metrics file {path} does not exist",
            hint="set textfile in [metrics] to the directory that node_exporter collects from",
        )
    try:
        replace_file(path, text, mode=0o644)
    except OSError as error:
        raise ConfigError(
            f"cannot write the metrics file {path}: {error.strerror}", hint="see textfile in [metrics]"
        ) from None


def render(status: Status, history: Sequence[Attempt] = ()) -> str:
    """What is known of a site, in Prometheus's text format; `history` is how earlier runs ended."""
    made = _Metrics(status.site)
    _of_site(made, status)
    _of_newest_point(made, status)
    _of_drills(made, status)
    _of_objectives(made, status)
    _of_problems(made, status)
    _of_repositories(made, status)
    _of_sources(made, status)
    _of_runs(made, status, history)
    return generate_latest(made.registry).decode("utf-8")


class _Metrics:
    """Gauges of one site."""

    def __init__(self, site: str) -> None:
        self.registry = CollectorRegistry()
        self._site = site
        self._known: dict[str, Gauge] = {}

    def set(self, name: str, says: str, value: float, **labels: str) -> None:
        """One value; every one of a name has the same labels."""
        if name not in self._known:
            self._known[name] = Gauge(f"drkit_{name}", says, ["site", *labels], registry=self.registry)
        self._known[name].labels(self._site, *labels.values()).set(value)


def _of_site(made: _Metrics, status: Status) -> None:
    made.set("build_info", "The version of drkit that wrote these metrics.", 1, version=__version__)
    made.set("written_timestamp_seconds", "When these metrics were written.", status.at.timestamp())
    made.set("green", "1 if nothing is wrong that would make `drkit status` fail.", float(status.green))
    for run in status.next_runs:
        says = "When a job of the schedule is due next."
        made.set("next_run_timestamp_seconds", says, run.at.timestamp(), job=run.job)


def _of_newest_point(made: _Metrics, status: Status) -> None:
    says = "The moment that the newest sealed recovery point is consistent at; 0 if there is none."
    made.set("newest_point_timestamp_seconds", says, _seconds(status.newest_point_at))
    made.set("newest_point_bytes", "The size of everything in it.", status.sizes.bytes)
    made.set("sealed_points", "How many sealed recovery points there are.", status.points)
    if closure := status.closure:
        for name, says, count in (
            (
                "referenced_blobs",
                "Blobs that production referred to then.",
                closure.referenced,
            ),
            ("missing_blobs", "Those of them that were missing.", closure.missing),
            ("size_mismatch_blobs", "Those of them that had the wrong size.", closure.size_mismatch),
            ("unreferenced_blobs", "Blobs that nothing referred to.", closure.unreferenced),
            ("unreferenced_bytes", "What these take up.", closure.unreferenced_bytes),
        ):
            made.set(f"closure_{name}", says, count)
    for certificate in reversed(status.certificates):
        # The first to expire is set last: a file may hold two of one subject.
        made.set(
            "certificate_expiry_timestamp_seconds",
            "When a certificate in the newest point expires.",
            certificate.not_after.timestamp(),
            path=certificate.path,
            subject=certificate.subject,
        )


def _of_drills(made: _Metrics, status: Status) -> None:
    drill, proof = status.last_drill, status.last_passed_drill
    says = "When a full drill last passed; 0 if none ever did."
    made.set("last_proof_timestamp_seconds", says, _finished(proof))
    made.set(
        "last_drill_timestamp_seconds",
        "When the last drill ended; 0 if there never was one.",
        _finished(drill),
    )
    if drill and drill.recovery_time_seconds is not None:
        made.set(
            "last_drill_recovery_time_seconds",
            "How long the last drill took to bring everything back.",
            drill.recovery_time_seconds,
        )
    happened = str(drill.outcome) if drill else "never"
    for name in (Outcome.PASSED, Outcome.FAILED, Outcome.ERROR, "never"):
        says = "1 for the outcome of the last drill, 0 for the others."
        made.set("last_drill_outcome", says, float(str(name) == happened), outcome=str(name))


def _of_objectives(made: _Metrics, status: Status) -> None:
    for each in status.objectives:
        actual = float("inf") if each.actual_seconds is None else each.actual_seconds
        for name, says, value in (
            ("met", "1 if the objective is met, 0 if not.", float(each.met)),
            ("target_seconds", "What the objective allows.", each.target_seconds),
            ("actual_seconds", "The actual value; +Inf if nothing has ever been measured.", actual),
        ):
            made.set(f"objective_{name}", says, value, objective=each.name)


def _of_problems(made: _Metrics, status: Status) -> None:
    """Every kind has its series, so that an alert on one is never without data."""
    for kind in ProblemKind:
        for red in (True, False):
            says = "How many problems of this kind there are; those that are not red leave the site green."
            found = sum(problem.kind is kind and problem.red is red for problem in status.findings)
            made.set("problems", says, found, kind=kind.value, red=str(red).lower())


def _of_repositories(made: _Metrics, status: Status) -> None:
    for each in status.repositories:
        name = each.name
        for what, says, value in (
            ("up", "1 if the repository could be listed, 0 if not.", float(each.points is not None)),
            (
                "newest_point_timestamp_seconds",
                "The moment that the newest sealed point there is consistent at; 0 if none is known.",
                _seconds(each.newest_point_at),
            ),
            ("sealed_points", "How many sealed recovery points are known to be there.", each.points or 0),
            (
                "last_proof_timestamp_seconds",
                "When a full drill of a point there last passed; 0 if none ever did.",
                _finished(each.last_passed_drill),
            ),
        ):
            made.set(f"repository_{what}", says, value, repository=name)
        if each.rpo is not None:
            says = "1 if the newest point there is as young as its rpo demands, 0 if not."
            made.set("repository_rpo_met", says, float(each.rpo.met), repository=name)
            says = "How old the newest point there may be."
            made.set("repository_rpo_target_seconds", says, each.rpo.target_seconds, repository=name)
        for store in each.reread:
            _of_reading(made, name, store)
        for level, drill in (("full", each.last_full_drill), ("quick", each.last_quick_drill)):
            _of_level(made, name, level, drill)


def _of_level(made: _Metrics, repository: str, level: str, drill: DrillNote | None) -> None:
    labels = {"repository": repository, "level": level}
    says = "When the last drill of this level ended; 0 if there never was one."
    made.set("repository_last_drill_timestamp_seconds", says, _finished(drill), **labels)
    passed = drill is not None and drill.outcome is Outcome.PASSED
    made.set("repository_last_drill_success", "1 if it passed, 0 if not.", float(passed), **labels)
    if drill and drill.recovery_time_seconds is not None:
        says = "How long it took to bring everything back."
        seconds = drill.recovery_time_seconds
        made.set("repository_last_drill_recovery_time_seconds", says, seconds, **labels)


def _of_reading(made: _Metrics, repository: str, store: Reread) -> None:
    """How far the reading of a store is."""
    done = store.done_at.timestamp() if store.done_at else math.inf if store.overdue_bytes else 0.0
    for what, says, value in (
        ("bytes", "What is stored there, as far as the ledger knows it.", store.bytes),
        ("never_bytes", "What of it was never read.", store.never_bytes),
        ("wrong_bytes", "What of it was found damaged when it was read last.", store.wrong_bytes),
        (
            "overdue_ratio",
            "Which part of it was not read for longer than the objective.",
            store.overdue_share,
        ),
        ("longest_seconds", "How long the longest unread bytes are so.", _or_infinite(store.oldest_seconds)),
        ("pace_bytes_per_day", "What was read a day in the last seven days.", store.pace),
        (
            "done_timestamp_seconds",
            "When nothing is overdue any more at that pace: 0 if nothing is, +Inf if that day never comes.",
            done,
        ),
    ):
        made.set(f"reread_{what}", says, value, repository=repository, store=store.kind, where=store.where)


def _or_infinite(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def _of_sources(made: _Metrics, status: Status) -> None:
    for each in status.sources:
        for what, says, value in (
            (
                "last_success_timestamp_seconds",
                "The moment of the newest sealed recovery point that has the source; 0 if none has.",
                _seconds(each.captured_at),
            ),
            ("bytes", "Its size in that point.", each.bytes),
            ("added_bytes", "What the repository or vault grew by for it.", each.added_bytes),
            ("duration_seconds", "How long it took to capture.", each.seconds),
        ):
            made.set(f"source_{what}", says, value, kind=each.kind, source=each.name)


def _of_runs(made: _Metrics, status: Status, history: Sequence[Attempt]) -> None:
    """The last run of each command that is not still under way, and the last good one."""
    keys = {(run.verb, run.scope) for run in status.runs}
    every = [run for run in (*history, *status.runs) if (run.verb, run.scope) in keys and not run.running]
    last = {(run.verb, run.scope): run for run in every}
    good = {(run.verb, run.scope): run for run in every if run.good}
    backup = last.get(("backup", ""))
    says = "When the last backup ended; 0 if there never was one."
    made.set("last_backup_timestamp_seconds", says, _seconds(_when(backup)))
    says = "1 if the last backup sealed a recovery point, 0 if not."
    made.set("last_backup_success", says, float(backup is not None and backup.good))
    for verb, scope in sorted(keys):
        says = "When the command last succeeded on this machine; 0 if it never did."
        success = _seconds(_when(good.get((verb, scope))))
        made.set("last_success_timestamp_seconds", says, success, verb=verb, scope=scope)
    for (verb, scope), run in last.items():
        says = "When the last run of the command ended, or began if it never ended."
        made.set("last_run_timestamp_seconds", says, _seconds(_when(run)), verb=verb, scope=scope)
        says = "1 if it succeeded; 0 if not, or if it never ended."
        made.set("last_run_success", says, float(run.good), verb=verb, scope=scope)
        if run.seconds is not None:
            says = "How long it took."
            made.set("last_run_duration_seconds", says, run.seconds, verb=verb, scope=scope)


def _when(attempt: Attempt | None) -> datetime | None:
    return (attempt.ended_at or attempt.began_at) if attempt else None


def _finished(drill: DrillNote | None) -> float:
    return _seconds(drill.finished_at if drill else None)


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
