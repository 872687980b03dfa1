"""Many sites: what each line says, which is worst, and how it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit.actions import sites
from drkit.errors import Bug, ConfigError, Failure, NotGreen, RepositoryLocked, ToolFailed
from drkit.model.sites import SiteLine, Sites, SiteState, worst_first
from drkit.reports.jsonable import envelope
from tests.samples import status

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
FILE = Path("/etc/drkit/sites/one.toml")


def line(name: str, state: SiteState, code: int = 0, red: int = 0, days: float = 1) -> SiteLine:
    at = NOW - timedelta(days=days)
    return SiteLine(
        f"/sites/{name}.toml", name, state, code, "kind", f"{name} is bad", "a hint", "p", at, at,
        red=("wrong",) * red,
    )  # fmt: skip


def test_the_worst_comes_first() -> None:
    every = [
        line("fine", SiteState.GREEN),
        line("noted", SiteState.WARNINGS),
        line("red", SiteState.RED, 5, red=1),
        line("redder", SiteState.RED, 5, red=3),
        line("older", SiteState.RED, 5, red=1, days=9),
        line("gone", SiteState.UNREADABLE, 10),
        line("broken", SiteState.UNKNOWN, 4),
    ]
    names = [each.site for each in worst_first(every)]
    assert names == ["broken", "gone", "redder", "older", "red", "noted", "fine"]
    assert worst_first(every[::-1]) == worst_first(every)


def test_a_line_from_what_a_status_prints() -> None:
    found = status(NOW)
    failed = NotGreen("missed: rto", hint="run `drkit drill`", result=found)
    said = json.loads(json.dumps(envelope("status", found, failed)))
    made = sites.line_of(FILE, said, 5, 1.25)
    assert made == SiteLine(
        str(FILE),
        "registry.example.com",
        SiteState.RED,
        5,
        "not_green",
        "missed: rto",
        "run `drkit drill`",
        found.newest_point,
        NOW - timedelta(hours=4),
        NOW - timedelta(days=2),
        ("rto",),
        (found.findings[0].message,),
        (found.findings[1].message,),
        1.25,
    )
    assert made.first == found.findings[0].message


@pytest.mark.parametrize(
    ("code", "green", "warned", "state"),
    [
        (0, True, False, SiteState.GREEN),
        (0, True, True, SiteState.WARNINGS),
        (5, False, True, SiteState.RED),
        (11, False, False, SiteState.UNREADABLE),
        # It says that it is green, and does not end so: whatever that is, it is not green.
        (1, True, False, SiteState.UNKNOWN),
    ],
)
def test_the_state_by_exit_code(code: int, green: bool, warned: bool, state: SiteState) -> None:
    found = status(NOW)
    findings = tuple(each for each in found.findings if warned and not each.red)
    found = replace(found, green=green, findings=findings)
    said = json.loads(json.dumps(envelope("status", found, None)))
    assert sites.line_of(FILE, said, code, 0).state is state


def test_a_configuration_that_cannot_be_read_is_a_line() -> None:
    said = json.loads(json.dumps(envelope("status", None, ConfigError("it is no TOML", hint="mend it"))))
    made = sites.line_of(FILE, said, 4, 0)
    assert (made.site, made.state, made.exit_code, made.first) == (
        "one", SiteState.UNKNOWN, 4, "it is no TOML",
    )  # fmt: skip


@pytest.mark.parametrize(
    "said", ["[]", "{}", '{"error": null, "result": {}}', '{"error": null, "result": 3}']
)
def test_what_is_no_status_is_refused(said: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        sites.line_of(FILE, json.loads(said), 0, 0)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1, Bug), (4, ConfigError), (5, NotGreen), (7, ToolFailed), (11, RepositoryLocked), (124, ToolFailed)],
)
def test_it_ends_as_the_worst_does(code: int, kind: type[Failure]) -> None:
    bad = line("bad", SiteState.RED, code, red=1)
    found = Sites("/sites", NOW, (bad, line("fine", SiteState.GREEN)))
    with pytest.raises(Failure) as caught:
        sites.judged(found)
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.hint) == (
        "1 of 2 sites is not green; the worst is bad: bad is bad", "a hint",
    )  # fmt: skip
    assert caught.value.result is found


def test_all_green_is_good() -> None:
    found = Sites("/sites", NOW, (line("noted", SiteState.WARNINGS), line("fine", SiteState.GREEN)))
    assert sites.judged(found) is found


def test_a_directory_without_configurations(tmp_path: Path) -> None:
    (tmp_path / ".hidden.toml").touch()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError, match="no configuration in"):
        sites.look(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot read the directory .*: Not a directory"):
        sites.look(tmp_path / "notes.txt")
