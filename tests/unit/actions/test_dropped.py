"""What was protected once and is in the configuration no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit import config
from drkit.actions import dropped
from drkit.actions.status.judge import judge
from drkit.errors import ConfigError
from drkit.model import Part, PartKind, Point
from tests.samples import drill_note, sealed

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
FULL = """
[[database]]
name = "registry"
dsn = "dbname=registry"
[[database]]
name = "notary"
dsn = "dbname=notaryserver"
[blobs]
kind = "filesystem"
path = "/data/registry"
[secrets]
paths = ["/data/secret", "/etc/ssl/harbor"]
recipients = ["age1..."]
"""


def settings(directory: Path, sources: str, *, told: str = "") -> config.Config:
    file = directory / "drkit.toml"
    file.write_text(
        f"""
        [site]
        name = "registry.example.com"
        state = "{directory}"
        dropped = [{told}]
        [[repository]]
        name = "primary"
        url = "/repository"
        password_file = "{directory}/password"
        {sources}
        """
    )
    return config.load_config(file)


def part(kind: PartKind, name: str) -> Part:
    return Part(kind, name, "s", "/", 1, 1, 1.0)


def point(name: str, *, ago: int = 1, without: str = "") -> Point:
    """A proven point of everything in FULL, but for one thing."""
    at = NOW - timedelta(hours=ago)
    made = sealed(name, at, drill_note(name, at))
    assert made.manifest is not None
    parts = [part("database", "registry"), part("database", "notary"), part("blobs", "blobs")]
    paths = ("/data/secret", "/etc/ssl/harbor")
    return replace(
        made,
        manifest=replace(
            made.manifest,
            parts=tuple(p for p in parts if without not in (p.name, p.kind)),
            secret_paths=tuple(path for path in paths if path != without),
        ),
    )


@pytest.mark.parametrize(
    ("gone", "without", "source"),
    [
        ('[[database]]\nname = "notary"\ndsn = "dbname=notaryserver"\n', "notary", "database:notary"),
        ('[blobs]\nkind = "filesystem"\npath = "/data/registry"\n', "blobs", "blobs"),
        (', "/etc/ssl/harbor"', "/etc/ssl/harbor", "secrets:/etc/ssl/harbor"),
    ],
)
def test_what_is_gone_is_red_until_somebody_says_that_it_is_meant(
    tmp_path: Path, gone: str, without: str, source: str
) -> None:
    assert gone in FULL
    before, after = point("a", ago=3), point("b", ago=2, without=without)
    less = settings(tmp_path, FULL.replace(gone, ""))
    for points in ([before], [after, before]):
        found = judge(less, points, NOW)
        assert not found.green
        assert [(str(p.kind), p.message, p.red) for p in found.findings] == [
            ("source_dropped", f"{source} is in point a, and no longer backed up", True)
        ], "the next point does not hush it up"
        assert f'dropped = ["{source}"]' in found.findings[0].hint
    told = settings(tmp_path, FULL.replace(gone, ""), told=f'"{source}"')
    assert judge(told, [after, before], NOW).green
    assert dropped.idle(told, [after, before]) == ()


def test_with_everything_there_nothing_is_told(tmp_path: Path) -> None:
    assert judge(settings(tmp_path, FULL), [point("a")], NOW).green


def test_a_machine_that_only_drills_compares_points_with_the_newest(tmp_path: Path) -> None:
    drills_here = settings(tmp_path, "")
    assert judge(drills_here, [point("a")], NOW).green
    found = judge(drills_here, [point("b", without="notary"), point("a", ago=3)], NOW)
    assert [str(problem.kind) for problem in found.findings] == ["source_dropped"]


def test_a_directory_above_covers_a_path(tmp_path: Path) -> None:
    wider = settings(tmp_path, FULL.replace('"/etc/ssl/harbor"', '"/etc/ssl"'))
    assert list(dropped.dropped(wider, [point("a")])) == []


def test_what_no_point_has_yet_is_red(tmp_path: Path) -> None:
    found = judge(settings(tmp_path, FULL), [point("a", without="notary")], NOW)
    assert [(str(p.kind), p.red) for p in found.findings] == [("source_unprotected", True)]


def test_a_name_that_nothing_has_is_told(tmp_path: Path) -> None:
    assert dropped.idle(settings(tmp_path, FULL, told='"database:notari"'), [point("a")]) == (
        "database:notari",
    )
    assert dropped.idle(settings(tmp_path, FULL, told='"database:notary"'), [point("a")]) == (
        "database:notary",
    )
    with pytest.raises(ConfigError, match="dropped"):
        settings(tmp_path, FULL, told='"notary"')
