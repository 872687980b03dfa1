"""Which Harbor the programs of a machine are, and whether they fit a point."""

from __future__ import annotations

from pathlib import Path

import pytest

from drkit.sandbox.harbor import programs
from drkit.sandbox.harbor.choice import NoImages
from drkit.sandbox.harbor.programs import Programs

CORE = Path("/opt/harbor/harbor_core")


def installed(schema: int) -> Programs:
    return Programs("any", schema, CORE, Path("/usr/bin/registry"), Path("/usr/bin/redis-server"), None)


def test_the_newest_migration_is_the_schema() -> None:
    names = ["0001_initial_schema.up.sql", "0170_2.14.0_schema.up.sql", "0171_2.14.1_schema.up.sql"]
    assert programs.newest(names) == 171
    assert programs.newest([*names, "1000_3.0.0_schema.up.sql"]) == 1000


@pytest.mark.parametrize("names", [[], ["README.md", "x_1.up.sql", "0170_2.14.0_schema.down.sql"]])
def test_no_migration_is_no_schema(names: list[str]) -> None:
    assert programs.newest(names) is None


def test_the_schema_must_be_the_points_own() -> None:
    assert programs.fit(installed(170), 170, None) is None
    found = programs.fit(installed(180), 170, None)
    assert found is not None
    assert found.reason == (
        "the point's schema 170 needs Harbor 2.14.0, and /opt/harbor/harbor_core is of Harbor 2.15.0 to"
        " 2.15.2 (schema 180)"
    )
    assert "core in [drill]" in found.hint


def test_a_release_that_is_wanted_must_be_there() -> None:
    assert programs.fit(installed(180), 180, "v2.15.1") is None
    found = programs.fit(installed(180), 180, "v2.16.0")
    assert found is not None
    assert "not of v2.16.0" in found.reason


def test_an_upgrade_wants_a_newer_core() -> None:
    assert programs.fit_newer(installed(190), 170, "v2.16.0") is None
    older = programs.fit_newer(installed(160), 170, "v2.13.1")
    assert older is not None
    assert "Harbor v2.13.1 is older than the point" in older.reason
    other = programs.fit_newer(installed(190), 170, "v2.15.0")
    assert other is not None
    assert "is of Harbor 2.16 (schema 190), not of v2.15.0" in other.reason


def test_what_is_no_program_is_named(tmp_path: Path) -> None:
    core = tmp_path / "harbor_core"
    assert programs.find(core, None, None) == NoImages(
        f"{core} is no program", "see core and jobservice in [drill]"
    )
    core.touch(0o755)
    found = programs.find(core, tmp_path / "none", None)
    assert isinstance(found, NoImages)
    assert found.reason == f"{tmp_path}/none is no program"
    found = programs.find(core, None, None)
    assert isinstance(found, NoImages)
    assert found.reason == f"there are no migrations in {tmp_path}/migrations/postgresql"
