"""The metrics file, read back by Prometheus's own parser."""

from __future__ import annotations

import math
import os
import stat
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from drkit import __version__
from drkit.errors import ConfigError
from drkit.model import Attempt, Objective, ProblemKind, Status
from drkit.reports.metrics import render, write
from tests.needs import program
from tests.samples import status

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SITE = "registry.example.com"
NOTHING = Status(
    site=SITE,
    at=NOW,
    green=False,
    objectives=(Objective("drill", 7_776_000, None, met=False),),
    newest_point=None,
    newest_point_at=None,
    last_drill=None,
    last_passed_drill=None,
    points=0,
    problems=(),
    findings=(),
)


def read(text: str) -> dict[str, float]:
    """`name{label values except the site's}` -> value."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            assert sample.labels.pop("site") == SITE
            labels = ",".join(sample.labels.values())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def of_reading(
    store: str, size: int, never: int, overdue: float, longest: float, pace: float, done: float
) -> dict[str, float]:
    found = {
        "bytes": size,
        "never_bytes": never,
        "wrong_bytes": 0,
        "overdue_ratio": overdue,
        "longest_seconds": longest,
        "pace_bytes_per_day": pace,
        "done_timestamp_seconds": done,
    }
    return {f"drkit_reread_{name}{{primary,{store}}}": value for name, value in found.items()}


def test_everything_that_is_known() -> None:
    at = NOW.timestamp()
    full, quick = at - 2 * 86_400, at - 3600
    assert read(render(status(NOW))) == {
        f"drkit_build_info{{{__version__}}}": 1,
        "drkit_written_timestamp_seconds": at,
        "drkit_green": 0,
        "drkit_next_run_timestamp_seconds{backup}": at + 20 * 3600,
        "drkit_next_run_timestamp_seconds{drill}": at + 5 * 86_400,
        "drkit_newest_point_timestamp_seconds": at - 4 * 3600,
        "drkit_newest_point_bytes": 41 << 30,
        "drkit_sealed_points": 7,
        "drkit_closure_referenced_blobs": 6700,
        "drkit_closure_missing_blobs": 0,
        "drkit_closure_size_mismatch_blobs": 0,
        "drkit_closure_unreferenced_blobs": 2,
        "drkit_closure_unreferenced_bytes": 9,
        "drkit_certificate_expiry_timestamp_seconds{/etc/ssl/harbor/registry.example.com.crt,"
        "CN=registry.example.com}": at + 65 * 86_400,
        "drkit_last_proof_timestamp_seconds": full,
        "drkit_last_drill_timestamp_seconds": quick,
        "drkit_last_drill_recovery_time_seconds": 90,
        "drkit_last_drill_outcome{passed}": 0,
        "drkit_last_drill_outcome{failed}": 1,
        "drkit_last_drill_outcome{error}": 0,
        "drkit_last_drill_outcome{never}": 0,
        "drkit_objective_met{rpo}": 1,
        "drkit_objective_met{rto}": 0,
        "drkit_objective_met{drill}": 1,
        "drkit_objective_target_seconds{rpo}": 86_400,
        "drkit_objective_target_seconds{rto}": 3600,
        "drkit_objective_target_seconds{drill}": 7_776_000,
        "drkit_objective_actual_seconds{rpo}": 14_400,
        "drkit_objective_actual_seconds{rto}": 4000.5,
        "drkit_objective_actual_seconds{drill}": 172_800,
        **{f"drkit_problems{{{kind},{red}}}": 0 for kind in ProblemKind for red in ("true", "false")},
        "drkit_problems{objective,true}": 1,
        "drkit_problems{incomplete_points,false}": 1,
        "drkit_repository_up{primary}": 1,
        "drkit_repository_newest_point_timestamp_seconds{primary}": at - 4 * 3600,
        "drkit_repository_sealed_points{primary}": 7,
        "drkit_repository_last_proof_timestamp_seconds{primary}": full,
        "drkit_repository_rpo_met{primary}": 1,
        "drkit_repository_rpo_target_seconds{primary}": 86_400,
        "drkit_repository_last_drill_timestamp_seconds{full,primary}": full,
        "drkit_repository_last_drill_timestamp_seconds{quick,primary}": quick,
        "drkit_repository_last_drill_success{full,primary}": 1,
        "drkit_repository_last_drill_success{quick,primary}": 0,
        "drkit_repository_last_drill_recovery_time_seconds{full,primary}": 90,
        "drkit_repository_last_drill_recovery_time_seconds{quick,primary}": 90,
        "drkit_repository_up{offsite}": 0,
        "drkit_repository_newest_point_timestamp_seconds{offsite}": 0,
        "drkit_repository_sealed_points{offsite}": 0,
        "drkit_repository_last_proof_timestamp_seconds{offsite}": 0,
        "drkit_repository_rpo_met{offsite}": 0,
        "drkit_repository_rpo_target_seconds{offsite}": 172_800,
        "drkit_repository_last_drill_timestamp_seconds{full,offsite}": 0,
        "drkit_repository_last_drill_timestamp_seconds{quick,offsite}": 0,
        "drkit_repository_last_drill_success{full,offsite}": 0,
        "drkit_repository_last_drill_success{quick,offsite}": 0,
        **of_reading("packs,primary", 1 << 30, 0, 0, 2 * 86_400, (1 << 30) / 7, 0),
        # 10 of 85 GiB are overdue, and 10 are read a day.
        **of_reading(
            "vault,s3://vault/kept", 85 << 30, 5 << 30, 10 / 85, 100 * 86_400, 10 << 30, at + 86_400
        ),
        **of_source("database,registry", at - 4 * 3600, 1 << 30, 1 << 20, 41.5),
        **of_source("images,images", at - 4 * 3600, 40 << 30, 3 << 20, 61),
        **of_source("secrets,secrets", 0, 0, 0, 0),
        "drkit_last_backup_timestamp_seconds": at - 4 * 3600 + 600,
        "drkit_last_backup_success": 1,
        **of_run(",backup", at - 4 * 3600 + 600, 600, good=True),
        **of_run("full,drill", full, 3600, good=True),
        **of_run("quick,drill", at, 3600, good=False),
        **of_run(",verify", at - 3540, 60, good=False),
    }


def of_source(labels: str, at: float, size: int, added: int, seconds: float) -> dict[str, float]:
    return {
        f"drkit_source_last_success_timestamp_seconds{{{labels}}}": at,
        f"drkit_source_bytes{{{labels}}}": size,
        f"drkit_source_added_bytes{{{labels}}}": added,
        f"drkit_source_duration_seconds{{{labels}}}": seconds,
    }


def of_run(labels: str, at: float, seconds: float, *, good: bool) -> dict[str, float]:
    return {
        f"drkit_last_run_timestamp_seconds{{{labels}}}": at,
        f"drkit_last_run_duration_seconds{{{labels}}}": seconds,
        f"drkit_last_run_success{{{labels}}}": float(good),
        f"drkit_last_success_timestamp_seconds{{{labels}}}": at if good else 0,
    }


def test_names_are_by_prometheus_own_conventions() -> None:
    text = render(status(NOW))
    words = [program("promtool"), "check", "metrics"]
    ran = subprocess.run(words, input=text, check=False, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_run_that_is_under_way_hides_no_earlier_one() -> None:
    """A backup is no failed one while it runs; what it succeeded at before is in the history."""
    bad = Attempt("0", "backup", "", NOW - 3 * HOUR, NOW - 2 * HOUR, 3)
    good = Attempt("0", "backup", "", NOW - 5 * HOUR, NOW - 4 * HOUR, 0)
    runs = (Attempt("9", "backup", "", NOW, running=True),)
    under_way = replace(status(NOW), runs=runs)
    found = read(render(under_way, (good, bad)))
    assert found["drkit_last_run_success{,backup}"] == found["drkit_last_backup_success"] == 0
    assert found["drkit_last_run_timestamp_seconds{,backup}"] == (NOW - 2 * HOUR).timestamp()
    assert found["drkit_last_success_timestamp_seconds{,backup}"] == (NOW - 4 * HOUR).timestamp()
    assert read(render(under_way, (bad, good)))["drkit_last_backup_success"] == 1


def test_of_two_certificates_of_one_name_the_first_to_expire_counts() -> None:
    known = status(NOW)
    late = replace(known.certificates[0], not_after=NOW + 900 * HOUR)
    early = replace(known.certificates[0], not_after=NOW + 9 * HOUR)
    found = read(render(replace(known, certificates=(early, late))))
    expiries = [value for name, value in found.items() if name.startswith("drkit_certificate_expiry")]
    assert expiries == [early.not_after.timestamp()]


def test_what_never_happened_is_infinitely_late() -> None:
    found = read(render(NOTHING))
    assert found.pop("drkit_written_timestamp_seconds") == NOW.timestamp()
    assert found.pop(f"drkit_build_info{{{__version__}}}") == 1
    assert found.pop("drkit_objective_actual_seconds{drill}") == math.inf
    assert found.pop("drkit_objective_target_seconds{drill}") == 7_776_000
    assert found.pop("drkit_last_drill_outcome{never}") == 1
    assert set(found.values()) == {0}
    assert "drkit_newest_point_timestamp_seconds" in found
    assert "drkit_last_backup_success" in found


def test_the_file_is_replaced_whole_and_readable_for_all(tmp_path: Path) -> None:
    path = tmp_path / "drkit.prom"
    path.write_text("old")
    path.chmod(0o600)
    mask = os.umask(0o077)
    try:
        with path.open() as old:
            write(path, render(NOTHING))
            assert old.read() == "old"
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["drkit.prom"]


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        write(tmp_path / "none" / "drkit.prom", "new")
    assert caught.value.message == (
        f"the directory of the metrics file {tmp_path}/none/drkit.prom does not exist"
    )
    assert caught.value.hint == (
        "set textfile in [metrics] to the directory that node_exporter collects from"
    )


def test_a_file_that_cannot_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "drkit.prom").mkdir()
    with pytest.raises(ConfigError) as caught:
        write(tmp_path / "drkit.prom", "new")
    assert caught.value.message == f"cannot write the metrics file {tmp_path}/drkit.prom: Is a directory"
    assert [entry.name for entry in tmp_path.iterdir()] == ["drkit.prom"]
