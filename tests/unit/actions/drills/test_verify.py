"""A folder of reports that somebody else has made."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from drkit.actions.drills.verify import FolderVerified, verify
from drkit.errors import ConfigError, ReportAltered
from drkit.reports import attestation, page
from drkit.reports.attestation import PAYLOAD_TYPE, Predicate, Previous
from drkit.tools import dsse
from tests.samples import drill_report

AT = datetime(2026, 11, 1, tzinfo=UTC)
TEXT = "<!doctype html>"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "signing.pem"
    path.write_text(dsse.generate()[0])
    return path


@pytest.fixture
def folder(tmp_path: Path, key: Path) -> Path:
    """Two reports, the second of which names the first."""
    named: tuple[Previous, ...] = ()
    for number in range(2):
        report = drill_report(f"d{number}", AT + timedelta(days=number))
        predicate = Predicate(report, "r", attestation.digest(TEXT.encode()), named)
        payload = attestation.statement(predicate, "ab" * 32)
        signed = dsse.sign(payload, PAYLOAD_TYPE, dsse.read_private(key))
        page.write(report, tmp_path / "folder" / report.id, TEXT, signed)
        named = (Previous(report.id, attestation.digest(payload)),)
    return tmp_path / "folder"


def refused(folder: Path, key: Path) -> dict[str, str]:
    """What is wrong with it, by the file."""
    with pytest.raises(ReportAltered) as caught:
        verify(folder, [key])
    found = caught.value.result
    assert isinstance(found, FolderVerified)
    assert not found.good
    return {str(each.file.relative_to(folder)): each.said for each in found.reports if not each.good}


def test_all_is_as_it_was_signed_however_often_it_is_there(folder: Path, key: Path) -> None:
    assert verify(folder, [key]).good
    page.write(drill_report("d1", AT), folder / "again", TEXT, (folder / "d1" / page.ENVELOPE).read_bytes())
    (folder / "again" / page.DATA).write_bytes((folder / "d1" / page.DATA).read_bytes())
    (folder / "drills.html").write_text("all is well")
    found = verify(folder, [key])
    assert len(found.reports) == 3
    assert found.chains[0].drills == ("d0", "d1")
    assert found.unsigned == (folder / "drills.html",)


@pytest.mark.parametrize("name", [page.PAGE, page.DATA, page.ENVELOPE])
def test_what_is_no_file_keeps_nobody_waiting(folder: Path, key: Path, name: str) -> None:
    path = folder / "d0" / name
    path.unlink()
    os.mkfifo(path)
    assert "it is no file" in "".join(refused(folder, key).values())
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "it is no file" in "".join(refused(folder, key).values())
    path.unlink()
    path.symlink_to(folder / "nowhere")
    assert "it cannot be read" in "".join(refused(folder, key).values())


def test_data_that_is_nested_without_end(folder: Path, key: Path) -> None:
    (folder / "d0" / page.DATA).write_text("[" * 100_000)
    assert refused(folder, key) == {f"d0/{page.ENVELOPE}": f"the data beside it ({page.DATA}) was altered"}


def test_a_page_alone_is_no_evidence(folder: Path, key: Path) -> None:
    for name in (page.DATA, page.ENVELOPE):
        (folder / "d1" / name).unlink()
    assert refused(folder, key) == {f"d1/{page.PAGE}": "it is not signed"}


def test_nothing_hides_behind_a_link(folder: Path, key: Path, tmp_path: Path) -> None:
    (folder / "d0").rename(tmp_path / "elsewhere")
    (folder / "d0").symlink_to(tmp_path / "elsewhere")
    assert refused(folder, key)["d0"] == "it is a link, which was not followed"


def test_a_folder_without_reports(tmp_path: Path, key: Path) -> None:
    with pytest.raises(ConfigError, match="there is no report of a drill"):
        verify(tmp_path, [key])
