"""Reports that the repository did not take, and that it does not take this time either."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from drkit import config
from drkit.actions.drill import late
from drkit.points.catalog import open_catalog
from drkit.reports import page
from drkit.state.directory import State
from drkit.tools.restic.repository import Repository
from tests import filesystems
from tests.samples import drill_report

SITE = "registry.example.com"


def test_a_full_disk_costs_the_present_drill_nothing(repository: Repository, tmp_path: Path) -> None:
    file = tmp_path / "drkit.toml"
    file.write_text(
        f'[site]\nname = "{SITE}"\nstate = "{tmp_path}/state"\n[drill]\ndirectory = "{tmp_path}/narrow/own"\n'
        f'[[repository]]\nname = "primary"\nurl = "{repository.access.url}"\n'
        f'password_file = "{repository.access.password_file}"\n'
    )
    settings = config.load_config(file)
    catalog = open_catalog(settings)
    report = replace(drill_report("a", datetime(2026, 11, 1, tzinfo=UTC)), repository="primary")
    catalog.repository.save_stream([b"x"], "x", catalog.tags(report.point), SITE)
    kept = State(settings.site.state).drills
    page.write(report, kept / report.id, "", None)
    late.mark(kept / report.id)
    with filesystems.narrow(tmp_path / "narrow", "1m") as where:
        settings.sandboxes.mkdir()
        filling = filesystems.fill(where)
        (said,) = late.store(catalog, settings, kept)
        assert said.startswith("reports of earlier drills are still not in the repository: no space is left")
        filling.unlink()
        (said,) = late.store(catalog, settings, kept)
    assert said == "stored the report of drill a, which the repository had not taken then"
