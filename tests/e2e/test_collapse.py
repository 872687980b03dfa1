"""Production is empty, and backups of it go well: it is told, and the points before it stay."""

from __future__ import annotations

import json

import psycopg
import pytest

from testenv import site as testenv
from testenv.site import Site
from tests.e2e.commands import Drkit, exactly, fails
from tests.e2e.test_bad_input import only, set_in
from tests.e2e.test_expire import keep
from tests.e2e.test_known_points import red
from tests.e2e.test_wrong_database import use

_TABLES = (
    b"SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
    b" WHERE schemaname = 'public' AND tablename NOT IN ('schema_migrations', 'alembic_version')"
)


@pytest.fixture
def emptied(copy: Drkit, site: Site, server: psycopg.Connection, name: str) -> Drkit:
    """A drkit with a proven point, whose Harbor has an empty database and an empty volume since."""
    server.execute(f'CREATE DATABASE "{name}" TEMPLATE registry'.encode())
    with testenv.connect(site, name) as connection:
        ((tables,),) = connection.execute(_TABLES).fetchall()
        connection.execute(f"TRUNCATE {tables}".encode())
    volume = copy.home / "volume"
    (volume / "docker/registry/v2/repositories").mkdir(parents=True)
    use(copy, site, name)
    # Without harbor.yml, which names the other database and the other volume.
    copy.change(only("database", "blobs"))
    return copy.change(set_in("blobs", path=str(volume)))


def reasons(drkit: Drkit) -> dict[str, list[str]]:
    """Why each point is kept by an expire that would keep the newest alone."""
    return {line["point"]: line["reasons"] for line in drkit.ask("expire", "--dry-run")["decisions"]}


def test_an_empty_production(emptied: Drkit) -> None:
    (whole,) = emptied.sealed()
    keep(emptied, keep_last=1)
    first = emptied.ask("backup")
    lost = {loss["subject"]: loss for loss in first["losses"]}
    assert set(lost) == {
        "image blobs",
        *(
            f"{each} in database registry"
            for each in ("artifacts", "tags", "repositories", "projects", "users")
        ),
    }
    assert lost["image blobs"]["before"] > 20
    assert {(loss["now"], loss["since"]) for loss in lost.values()} == {(0, whole)}
    point = emptied.ask("backup")["id"]
    said = red(emptied)["collapse"]
    assert f"{lost['artifacts in database registry']['before']} in point {whole}, 0 in point {point}" in said
    assert any(said in warning for warning in emptied.ask("show", point)["warnings"])
    assert any("production" in line and whole in line for line in emptied.run("doctor").stdout.splitlines())

    before = "before a loss in production that nobody has confirmed"
    assert reasons(emptied) == {
        point: ["last 1 of 1", "newest sealed point"],
        first["id"]: ["no rule keeps it"],
        whole: [
            "newest point that a drill has proven",
            f"newest point {before}",
            f"newest proven point {before}",
        ],
    }
    hint = rf".*`drkit points --confirm {point}`.*"
    nothing = exactly("nothing about images is proven: production has lost most of what it had: ") + ".*"
    fails(emptied, ["drill", "--level", "quick"], 5, "drill_failed", nothing, hint)

    fails(
        emptied,
        ["points", "--confirm", whole],
        2,
        "usage_error",
        f"there is nothing to confirm of point {whole}",
        f"losses that nobody has confirmed are in {point}",
    )
    assert emptied.ask("points", "--confirm", point)["warnings"] == []
    assert "collapse" not in red(emptied)
    assert emptied.ask("drill", "--level", "quick")["outcome"] == "passed"
    assert reasons(emptied)[whole] == ["newest point that a drill has proven"]
    assert emptied.ask("backup")["losses"] == []
    confirmed = json.loads(emptied.restic("snapshots", "--json", "--tag", f"drkit:confirmed:{point}"))
    assert len(confirmed) == 1
    emptied.ask("expire")
    assert json.loads(emptied.restic("snapshots", "--json", "--tag", f"drkit:confirmed:{point}")) == []
