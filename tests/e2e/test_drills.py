"""The history of drills: listed, summed up for an auditor, signed, and verified without the repository."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from drkit.model import utc_now
from drkit.reports.attestation import PREDICATE_TYPE
from tests import needs
from tests.e2e.commands import Drkit, Ended, clone, exactly, fails
from tests.e2e.test_bad_input import only, set_in


@dataclass(frozen=True)
class Drilled:
    """A drkit with signed reports: of a drill that passed, of one that failed, of a full one that passed."""

    drkit: Drkit
    key: Path
    folder: Path
    ids: tuple[str, str, str]
    period: dict[str, Any]

    def report(self, number: int) -> Path:
        """The folder of a drill's report."""
        return self.folder / self.ids[number]


@pytest.fixture(scope="module")
def drilled(empty: Drkit, new_home: Callable[[], Path]) -> Drilled:
    drkit = clone(empty, new_home())
    key = drkit.home / "signing.pem"
    made = drkit.ask("keys", "generate", "--signing", "--output", str(key))
    assert key.stat().st_mode & 0o777 == 0o600
    assert Path(made["public_file"]).read_text() == made["public"]
    drkit.change(only("database", "secrets"))
    drkit.change(lambda document: document.update(drill={"signing_key": str(key)}))
    drkit.ask("backup")
    first = drkit.ask("drill", "--level", "quick")["id"]
    drkit.change(set_in("secrets", expiry_warning="30000d"))
    failed = drkit.run("drill", "--level", "quick", "--json")
    assert failed.code == 5
    drkit.change(set_in("secrets", expiry_warning="1d"))
    last = drkit.ask("drill", "--junit", str(drkit.home / "junit.xml"))["id"]
    folder = drkit.home / "folder"
    period = drkit.ask("drills", "--period", f"{utc_now():%Y}", "--report", str(folder))
    return Drilled(drkit, key, folder, (first, failed.envelope["result"]["id"], last), period)


@pytest.fixture
def taken(drilled: Drilled, tmp_path: Path) -> Drilled:
    """The same, with a folder of the test's own."""
    shutil.copytree(drilled.folder, tmp_path / "taken")
    return replace(drilled, folder=tmp_path / "taken")


def verify(taken: Drilled, *more: str) -> Ended:
    """Verify the folder as an auditor does: with the public key, and without any configuration."""
    public = ("--key", f"{taken.key}.pub")
    return taken.drkit.run(
        "drills", "verify", str(taken.folder), *public, "--json", *more, config=Path("/nonexistent")
    )


def cosign(taken: Drilled, report: Path) -> subprocess.CompletedProcess[str]:
    """cosign on a report, and on the file in the repository that it is about."""
    envelope = json.loads((taken.report(2) / "report.dsse.json").read_text())
    seal = json.loads(base64.b64decode(envelope["payload"]))["subject"][0]["digest"]["sha256"]
    words = ("cosign", "verify-blob-attestation", "--key", f"{taken.key}.pub", "--signature", str(report))
    more = (
        "--type",
        PREDICATE_TYPE,
        "--insecure-ignore-tlog=true",
        str(taken.drkit.repository / "snapshots" / seal),
    )
    return subprocess.run([*words, *more], capture_output=True, text=True, check=False)


def test_all_are_listed(drilled: Drilled) -> None:
    found = drilled.drkit.ask("drills")
    lines = [(drill["id"], drill["outcome"], drill["level"], drill["signed"]) for drill in found["drills"]]
    first, failed, last = drilled.ids
    assert lines == [
        (last, "passed", "full", True),
        (failed, "failed", "quick", True),
        (first, "passed", "quick", True),
    ]
    assert found["trend"] is None
    shown = drilled.drkit.run("drills").stdout
    assert all(drill in shown for drill in drilled.ids)


def test_a_period_for_the_auditor(drilled: Drilled) -> None:
    found, (first, failed, last) = drilled.period, drilled.ids
    assert found["good"] is True
    assert "Everything came back from backup once" in found["verdict"]
    assert [(drill["id"], drill["followed"]) for drill in found["drills"]] == [
        (first, None),
        (failed, last),
        (last, None),
    ]
    said = {drill["signature"]["said"] for drill in found["drills"]}
    assert said == {"verified by the key of the configuration"}
    assert (found["points"], found["undrilled_count"]) == (1, 0)
    assert [proof["drill"] for proof in found["proofs"]] == [last]
    held = {line["subject"]: (line["held"], line["tried"]) for line in found["evidence"]}
    assert held["the database"][0] == held["the database"][1] > 50
    assert held["keys and certificates"][1] - held["keys and certificates"][0] == 1
    assert held["the images"] == (0, 0)
    page = (drilled.folder / "drills.html").read_text()
    assert found["verdict"] in page
    assert "ISO/IEC 27001:2022 A.8.13" in page
    assert "://" not in page
    assert "default-src 'none'" in page
    # The report's own path is known only once there is one.
    assert json.loads((drilled.folder / "drills.json").read_text()) == found


def test_a_period_without_a_drill(drilled: Drilled) -> None:
    verdict = "No full recovery drill has passed in 1999Q1"
    words = ("drills", "--period", "1999Q1")
    found = fails(drilled.drkit, words, 5, "not_green", verdict, ".*drills.md.*").envelope["result"]
    assert (found["good"], found["drills"]) == (False, [])


def test_one_again(drilled: Drilled, tmp_path: Path) -> None:
    failed = drilled.ids[1]
    found = drilled.drkit.ask("drills", failed, "--report", str(tmp_path), "--junit", str(tmp_path / "j.xml"))
    assert found["report"]["outcome"] == "failed"
    assert found["signature"]["verified"] is True
    for name in ("report.json", "report.html", "report.dsse.json"):
        assert (tmp_path / name).read_bytes() == (drilled.report(1) / name).read_bytes()
        assert (tmp_path / name).read_bytes() == (drilled.drkit.state / "drills" / failed / name).read_bytes()
    (failure,) = ElementTree.parse(tmp_path / "j.xml").getroot().iter("failure")
    assert "expires" in failure.attrib["message"]
    assert failed in drilled.drkit.run("drills", failed).stdout


def test_the_report_of_a_drill_for_ci(drilled: Drilled) -> None:
    suite = ElementTree.parse(drilled.drkit.home / "junit.xml").getroot()
    assert (suite.attrib["failures"], suite.attrib["errors"]) == ("0", "0")
    assert int(suite.attrib["tests"]) > 50
    assert int(suite.attrib["skipped"]) == len(list(suite.iter("skipped"))) > 0


def test_the_public_key_is_in_the_seal_and_on_the_escrow_page(drilled: Drilled) -> None:
    public = Path(f"{drilled.key}.pub").read_text()
    seal = json.loads(drilled.drkit.restic("dump", "--tag", "drkit:manifest", "latest", "/manifest.json"))
    assert seal["signing_key"] == public
    page = drilled.drkit.run("keys", "escrow").stdout
    assert all(line in page for line in public.splitlines())


def test_a_folder_is_verified_without_repository_and_configuration(taken: Drilled) -> None:
    found = verify(taken).result
    assert found["good"] is True
    assert [report["drill"] for report in found["reports"]] == list(taken.ids)
    (chain,) = found["chains"]
    assert (chain["drills"], chain["begins_after"], chain["gaps"]) == (list(taken.ids), None, [])


def test_cosign_takes_the_reports_too(taken: Drilled) -> None:
    done = cosign(taken, taken.report(2) / "report.dsse.json")
    assert done.returncode == 0, done.stderr


def refused(taken: Drilled, message: str) -> dict[str, Any]:
    """Verify a folder that is not as it was; returns what there is to say of it."""
    ended = verify(taken)
    assert ended.code == 5, ended
    assert ended.error["kind"] == "report_altered"
    assert message in ended.error["message"]
    found: dict[str, Any] = ended.envelope["result"]
    assert found["good"] is False
    return found


def test_an_altered_report_is_refused_by_drkit_and_by_cosign(taken: Drilled) -> None:
    path = taken.report(2) / "report.dsse.json"
    envelope = json.loads(path.read_text())
    payload = base64.b64decode(envelope["payload"]).replace(b'"caught": true', b'"caught": null', 1)
    envelope["payload"] = base64.b64encode(payload).decode()
    path.write_text(json.dumps(envelope))
    refused(taken, "altered")
    assert cosign(taken, path).returncode != 0


@pytest.mark.parametrize("name", ["report.html", "report.json"])
def test_what_people_and_programs_read_must_be_what_was_signed(taken: Drilled, name: str) -> None:
    path = taken.report(1) / name
    path.write_text(path.read_text().replace("failed", "passed"))
    refused(taken, f"({name}) was altered")


def test_one_that_is_left_out_is_named(taken: Drilled) -> None:
    shutil.rmtree(taken.report(1))
    found = refused(taken, f"the report of drill {taken.ids[1]} is left out")
    assert found["chains"][0]["gaps"] == [{"missing": taken.ids[1], "after": taken.ids[2]}]


def test_the_oldest_may_be_elsewhere(taken: Drilled) -> None:
    shutil.rmtree(taken.report(0))
    (chain,) = verify(taken).result["chains"]
    assert chain["begins_after"] == taken.ids[0]


def test_a_report_without_a_signature_is_no_evidence(taken: Drilled) -> None:
    (taken.report(0) / "report.dsse.json").unlink()
    refused(taken, "it is not signed")


def test_another_key_is_refused(taken: Drilled, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    taken.drkit.ask("keys", "generate", "--signing", "--output", str(other))
    refused(replace(taken, key=other), "none of the keys at hand")


def test_wrong_words(drilled: Drilled, tmp_path: Path) -> None:
    drkit, newest = drilled.drkit, drilled.ids[2]
    fails(
        drkit,
        ("drills", "nosuch"),
        4,
        "no_such_drill",
        'there is no drill "nosuch"',
        exactly(f"the newest is {newest}; `drkit drills` lists them"),
    )
    fails(drkit, ("drills", "--period", "Q4"), 2, "usage_error", "'Q4' is no period", ".*2026Q4.*")
    fails(drkit, ("drills", "verify"), 2, "usage_error", ".*no form.*", ".*--help.*")
    fails(
        drkit,
        ("drills", "verify", str(tmp_path)),
        4,
        "config_error",
        exactly(f"there is no report of a drill below {tmp_path}"),
        ".*--report DIR.*",
    )
    fails(
        drkit,
        ("keys", "generate", "--signing", "--output", str(drilled.key)),
        4,
        "config_error",
        ".* exists already",
        ".*never overwritten.*",
    )


def test_a_key_that_cannot_be_read_stops_a_drill_before_it_begins(
    drilled: Drilled, new_home: Callable[[], Path]
) -> None:
    drkit = clone(drilled.drkit, new_home())
    drkit.change(set_in("drill", signing_key=str(drkit.home / "none.pem")))
    fails(drkit, ("drill",), 4, "config_error", "cannot read the signing key .*", ".*--signing.*")
    # A backup goes on, and says what is missing.
    warnings = drkit.ask("backup")["warnings"]
    assert any("who signs reports" in warning for warning in warnings)


def test_reports_outlive_their_points_as_long_as_they_are_kept(
    drilled: Drilled, new_home: Callable[[], Path]
) -> None:
    drkit = clone(drilled.drkit, new_home())
    drkit.ask("backup")
    drkit.ask("drill")
    drkit.change(lambda document: document.update(retention={"keep_last": 1}))
    assert drkit.ask("expire")["removed"] == 1
    assert [drill["id"] for drill in drkit.ask("drills")["drills"]][1:] == list(reversed(drilled.ids))
    drkit.ask("backup")
    drkit.ask("drill")
    drkit.change(lambda document: document["retention"].update(keep_drill_reports="1s"))
    assert drkit.ask("expire")["removed"] == 1
    assert len(drkit.ask("drills")["drills"]) == 1


def test_what_somebody_else_has_stored_among_the_reports(
    drilled: Drilled, new_home: Callable[[], Path], tmp_path: Path
) -> None:
    """Whoever can write to the repository can store a report, with any names in it."""
    drkit, (first, failed, last) = clone(drilled.drkit, new_home()), drilled.ids
    report = json.loads((drilled.report(2) / "report.json").read_text())
    outside, naive = "../../outside", "20261101-000000-aaaaaa"
    for name, change in (
        (outside, {}),
        (naive, {"finished_at": report["finished_at"][:19]}),
        (failed, {"outcome": "passed"}),
    ):
        forged = tmp_path / "forged.json"
        forged.write_text(json.dumps({**report, **change, "id": name}))
        tags = f"drkit:site:{report['site']},drkit:point:{report['point']},drkit:drill:{name}"
        into = ("--tag", tags, "--stdin-filename", "drill.json", "--stdin-from-command")
        drkit.restic("backup", *into, "--", "cat", str(forged))
    found = drkit.ask("drills")
    assert [(drill["id"], drill["outcome"]) for drill in found["drills"]] == [
        (last, "passed"),
        (failed, "failed"),
        (first, "passed"),
    ]
    assert [name in warning for name, warning in zip((outside, naive), found["warnings"], strict=True)]
    folder = tmp_path / "a" / "b" / "folder"
    ended = drkit.run("drills", "--period", f"{utc_now():%Y}", "--report", str(folder), "--json")
    assert ended.code == 5, ended
    period = ended.envelope["result"]
    assert (period["good"], len(period["drills"])) == (False, 3)
    assert "Not everything could be looked at" in period["verdict"]
    assert "not as it was signed" not in drkit.run("drills", failed).stdout
    assert drkit.run("drills", outside, "--report", str(folder / "one")).code == 7
    fails(drkit, ("drills", outside), 7, "restore_damaged", ".* is not that of drill .*", ".*who can write.*")
    assert {path.name for path in (tmp_path / "a").rglob("*") if "outside" in path.name} == set()


@pytest.fixture
def shut(drilled: Drilled, new_home: Callable[[], Path]) -> Iterator[Drkit]:
    """A drkit whose repository can be read and not written to."""
    if os.geteuid() != 0:
        needs.missing("a read-only mount needs root")
    drkit = clone(drilled.drkit, new_home())
    subprocess.run(["mount", "--bind", drkit.repository, drkit.repository], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", drkit.repository], check=True)
        yield drkit
    finally:
        if drkit.repository.is_mount():
            subprocess.run(["umount", drkit.repository], check=True)


def test_what_the_repository_did_not_take_is_stored_by_the_next_drill(shut: Drkit) -> None:
    late = [shut.ask("drill", "--level", "quick") for _ in range(2)]
    for report in late:
        assert any("the report is not in the repository" in problem for problem in report["problems"])
    subprocess.run(["umount", shut.repository], check=True)
    known = {drill["id"] for drill in shut.ask("drills")["drills"]}
    assert not known & {report["id"] for report in late}
    result = shut.ask("drill", "--level", "quick")
    said = [problem for problem in result["problems"] if problem.startswith("stored the report of drill")]
    assert [report["id"] in line for report, line in zip(late, said, strict=True)] == [True, True]
    listed = [drill["id"] for drill in shut.ask("drills")["drills"]]
    assert listed[:3] == [result["id"], late[1]["id"], late[0]["id"]]
    folder = shut.home / "late"
    shut.ask("drills", "--period", f"{utc_now():%Y}", "--report", str(folder))
    (chain,) = shut.ask("drills", "verify", str(folder))["chains"]
    assert (len(chain["drills"]), chain["gaps"]) == (6, [])
    again = shut.ask("drill", "--level", "quick")
    assert not any(problem.startswith("stored") for problem in again["problems"]), "each once"


def test_another_key_is_said_to_be_another(drilled: Drilled, new_home: Callable[[], Path]) -> None:
    """What an earlier key has signed was not altered: nobody can tell without its public half."""
    drkit, last = clone(drilled.drkit, new_home()), drilled.ids[2]
    bare = drkit.home / "bare.toml"
    text = drkit.config.read_text()
    drkit.ask("keys", "generate", "--signing", "--output", str(drkit.home / "new.pem"))
    bare.write_text(text.replace(str(drkit.home / "signing.pem"), str(drkit.home / "new.pem")))
    # The seal names it as long as it is there.
    found = drkit.run("drills", last, "--json", config=bare).result
    assert found["signature"]["said"] == "verified by a key that the repository itself names"
    for seal in json.loads(drkit.restic("snapshots", "--tag", "drkit:manifest", "--json")):
        drkit.restic("forget", seal["id"])
    found = drkit.run("drills", last, "--json", config=bare).result
    assert found["signature"]["verified"] is None
    assert "none of the keys at hand" in found["signature"]["said"]
    public = f"{drilled.key}.pub"
    found = drkit.run("drills", last, "--key", public, "--json", config=bare).result
    assert found["signature"]["said"] == f"verified by the key in {public}"


def test_options_that_would_do_nothing_are_refused(drilled: Drilled, tmp_path: Path) -> None:
    for words in (
        ("--period", "2026", "--junit", str(tmp_path / "j.xml")),
        (drilled.ids[0], "--period", "2026"),
    ):
        fails(drilled.drkit, ("drills", *words), 2, "usage_error", ".* does not go with .*", ".*--help.*")
