"""The metrics file, read back by Prometheus's own parser."""

from __future__ import annotations

import math
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from drkit.errors import ConfigError
from drkit.model import Attempt, Objective, Outcome, Problem, ProblemKind
from drkit.reports.metrics import Copies, Facts, write
from tests.samples import drill_note

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
SITE = "registry.example.com"


def read(path: Path) -> dict[str, float]:
    """`name{label values except the site's}` -> value."""
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            assert sample.labels.pop("site") == SITE
            labels = ",".join(sample.labels.values())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_everything_that_is_known(tmp_path: Path) -> None:
    path = tmp_path / "drkit.prom"
    facts = Facts(
        site=SITE,
        written_at=NOW,
        newest_point_at=datetime(2026, 11, 24, 2, 0, tzinfo=UTC),
        newest_point_bytes=123_456_789_012,
        sealed_points=7,
        repositories=(Copies("offsite", None, 0, Objective("rpo", 86_400, None, met=False)),),
        runs=(
            Attempt("1", "verify", "", NOW, NOW, 7),
            Attempt("2", "backup", "", NOW, datetime(2026, 11, 24, 2, 10, tzinfo=UTC), 0),
        ),
        problems=(Problem(ProblemKind.DAMAGE, "the last verify found damage"),),
        objectives=(
            Objective("rpo", 86_400, 14_400, met=True),
            Objective("rto", 3600, 4000.5, met=False),
        ),
        last_drill=drill_note("p", datetime(2026, 11, 22, 5, 30, tzinfo=UTC), outcome=Outcome.FAILED),
        last_proof_at=datetime(2026, 11, 15, 5, 30, tzinfo=UTC),
    )
    write(path, facts)
    assert read(path) == {
        "drkit_written_timestamp_seconds": NOW.timestamp(),
        "drkit_newest_point_timestamp_seconds": NOW.timestamp() - 4 * 3600,
        "drkit_newest_point_bytes": 123_456_789_012,
        "drkit_sealed_points": 7,
        "drkit_repository_newest_point_timestamp_seconds{offsite}": 0,
        "drkit_repository_sealed_points{offsite}": 0,
        "drkit_repository_rpo_met{offsite}": 0,
        "drkit_last_backup_timestamp_seconds": NOW.timestamp() - 4 * 3600 + 600,
        "drkit_last_backup_success": 1,
        "drkit_last_proof_timestamp_seconds": datetime(2026, 11, 15, 5, 30, tzinfo=UTC).timestamp(),
        "drkit_last_drill_timestamp_seconds": datetime(2026, 11, 22, 5, 30, tzinfo=UTC).timestamp(),
        "drkit_last_drill_outcome{passed}": 0,
        "drkit_last_drill_outcome{failed}": 1,
        "drkit_last_drill_outcome{error}": 0,
        "drkit_last_drill_outcome{never}": 0,
        "drkit_last_drill_recovery_time_seconds": 90,
        "drkit_objective_met{rpo}": 1,
        "drkit_objective_met{rto}": 0,
        "drkit_objective_target_seconds{rpo}": 86_400,
        "drkit_objective_target_seconds{rto}": 3600,
        "drkit_objective_actual_seconds{rpo}": 14_400,
        "drkit_objective_actual_seconds{rto}": 4000.5,
        "drkit_green": 0,
        "drkit_last_run_timestamp_seconds{,verify}": NOW.timestamp(),
        "drkit_last_run_timestamp_seconds{,backup}": NOW.timestamp() - 4 * 3600 + 600,
        "drkit_last_run_success{,verify}": 0,
        "drkit_last_run_success{,backup}": 1,
        **{f"drkit_problems{{{kind},{red}}}": 0 for kind in ProblemKind for red in ("true", "false")},
        "drkit_problems{damage,true}": 1,
    }


def test_what_never_happened_is_infinitely_late(tmp_path: Path) -> None:
    path = tmp_path / "drkit.prom"
    objectives = (Objective("drill", 7_776_000, None, met=False),)
    write(path, Facts(site=SITE, written_at=NOW, objectives=objectives))
    found = read(path)
    assert found.pop("drkit_written_timestamp_seconds") == NOW.timestamp()
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
            write(path, Facts(site=SITE, written_at=NOW))
            assert old.read() == "old"
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["drkit.prom"]


def test_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        write(tmp_path / "none" / "drkit.prom", Facts(site=SITE, written_at=NOW))
    assert caught.value.message == (
        f"the directory of the metrics file {tmp_path}/none/drkit.prom does not exist"
    )
    assert caught.value.hint == (
        "set textfile in [metrics] to the directory that node_exporter collects from"
    )


def test_a_file_that_cannot_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "drkit.prom").mkdir()
    with pytest.raises(ConfigError) as caught:
        write(tmp_path / "drkit.prom", Facts(site=SITE, written_at=NOW))
    assert caught.value.message == f"cannot write the metrics file {tmp_path}/drkit.prom: Is a directory"
    assert [entry.name for entry in tmp_path.iterdir()] == ["drkit.prom"]
