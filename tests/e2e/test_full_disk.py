"""A disk that is full in the midst of a drill: one sentence with the path, and the report is somewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import filesystems
from tests.e2e import gates, processes
from tests.e2e.commands import Drkit, Ended, assert_error, exactly, finish
from tests.e2e.test_bad_input import set_in


@pytest.fixture
def narrow(place: Path) -> Iterator[Path]:
    """A disk that has room for a drill of the practice site, and not for much more."""
    with filesystems.narrow(place / "full", "400m") as where:
        yield where


def drilled_until_full(drkit: Drkit, disk: Path, *options: str) -> tuple[Ended, Path]:
    """A drill in whose midst, when its registry serves, the disk is filled: its end, and the file."""
    gate = gates.registry_serves(drkit)
    process = gate.drkit.start("drill", "--json", *options)
    try:
        gate.wait(process)
        filling = filesystems.fill(disk)
    finally:
        gate.open()
        ended = finish(process)
    return ended, filling


def test_before_there_is_a_sandbox(copy: Drkit, narrow: Path) -> None:
    copy.change(lambda document: document.setdefault("drill", {}).update(directory=str(narrow / "boxes")))
    filling = filesystems.fill(narrow)
    ended = copy.run("drill", "--json")
    assert ended.code == 6
    message = rf"the drill cannot begin: no space is left for {narrow}/\S+"
    hint = exactly("make room, or set directory in [drill] to a larger disk")
    assert_error(ended, "drill_error", message, hint)
    assert list(narrow.iterdir()) in ([filling], [narrow / "boxes", filling], [filling, narrow / "boxes"])


def test_amid_the_checks(copy: Drkit, narrow: Path) -> None:
    """What was found until then is in the report; nobody is told of a bug."""
    copy.change(lambda document: document.setdefault("drill", {}).update(directory=str(narrow)))
    ended, filling = drilled_until_full(copy, narrow)
    result = ended.envelope["result"]
    assert (ended.code, result["outcome"]) == (6, "error")
    checks = {check["name"]: check["outcome"] for check in result["checks"]}
    assert checks["blobs hash to their names"] == "passed"
    assert "bug" not in ended.stdout + ended.stderr
    full = (
        f"no space is left in the sandbox's directory {narrow}: make room, or set directory in [drill] to a"
    )
    assert result["problems"] == [f"{full} larger disk"]
    assert ended.error["message"] == f"the drill came to no verdict: {full} larger disk"
    assert Path(result["report"]).is_file()
    assert list(narrow.iterdir()) == [filling]
    assert processes.survivors(copy.home) == []


def test_where_the_report_is_to_go(copy: Drkit, narrow: Path) -> None:
    """It is printed, and in the repository: it says which place has refused it."""
    reports = narrow / "reports"
    ended, _filling = drilled_until_full(copy, narrow, "--report", str(reports))
    full = exactly(f"no space is left for the report in {reports}: No space left on device")
    assert ended.code == 7
    assert_error(ended, "no_space", full, "make room there")
    result = ended.envelope["result"]
    assert result["outcome"] == "passed"
    assert any(problem.endswith(" and the repository") for problem in result["problems"])
    assert Path(result["report"]).is_relative_to(copy.state)
    assert list(reports.iterdir()) == [], "no half of one"
    assert copy.ask("drills")["drills"][0]["id"] == result["id"]


def test_the_state_directory(copy: Drkit, narrow: Path) -> None:
    """The report is in the repository alone, and printed."""
    shutil.move(copy.state, narrow / "state")
    copy.change(set_in("site", state=str(narrow / "state")))
    copy.change(lambda document: document.setdefault("drill", {}).update(directory=str(copy.home / "boxes")))
    ended, filling = drilled_until_full(copy, narrow)
    assert ended.code == 7, ended
    result = ended.envelope["result"]
    assert (result["outcome"], result["report"]) == ("passed", None)
    assert any(problem.endswith("it is in the repository") for problem in result["problems"])
    filling.unlink()
    assert copy.ask("drills")["drills"][0]["id"] == result["id"]
