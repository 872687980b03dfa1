"""Faults that are planted at random, and a short campaign with them."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from random import Random

import pytest

from testenv.planted import __main__ as command
from testenv.planted import content, files, trial
from testenv.planted.trial import Result
from tests import needs


@pytest.mark.parametrize("fault", [fault for fault in files.FAULTS if fault != "deleted"])
@pytest.mark.parametrize("data", [b"", b"x", b"some bytes"])
def test_a_fault_leaves_other_bytes(fault: str, data: bytes) -> None:
    for seed in range(50):
        assert files.changed(data, fault, b"another file", Random(seed)) != data
        assert files.changed(data, fault, data, Random(seed)) != data


def test_other_names_of_a_file_keep_what_they_had(tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.write_bytes(b"content")
    for fault in files.FAULTS:
        copy.hardlink_to(original)
        files.plant(copy, fault, [copy], Random(1))
        assert original.read_bytes() == b"content"
        copy.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("kind", "here", "bare", "lacking", "verdict"),
    [
        ("index", True, True, (), "harmless"),
        ("index", False, None, ("seal",), "caught"),
        ("index", False, False, (), "stricter"),
        ("index", True, True, ("seal",), "false green"),
        ("index", True, False, (), "disagreement"),
        ("index", False, True, (), "disagreement"),
        (trial.SOUND, True, True, (), "sound"),
        (trial.SOUND, False, False, (), "false alarm"),
        (trial.SOUND, True, False, (), "false alarm"),
    ],
)
def test_verdicts(kind: str, here: bool, bare: bool | None, lacking: tuple[str, ...], verdict: str) -> None:
    result = Result(kind, "flipped", "file", here, bare, lacking, ("", ""), 1.0)
    assert result.verdict == verdict
    assert result.good == (verdict in ("harmless", "caught", "stricter", "sound"))


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("5 point x does not restore whole: tables of registry", "caught"),
        (
            '6 the drill came to no verdict: pg_restore failed: must be member of role "postgres"',
            "not loaded",
        ),
        ("6 the drill came to no verdict: pg_restore failed: insert violates foreign key", "caught"),
    ],
)
def test_a_row_whose_dump_was_not_loaded_was_not_looked_for(said: str, verdict: str) -> None:
    result = Result("row", "changed", "file", False, None, ("a row",), (said, ""), 1.0)
    assert (result.verdict, result.good) == (verdict, verdict == "caught")


def test_a_tar_is_another_only_where_what_it_has_is() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name in "ab":
            member = tarfile.TarInfo(name)
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    for seed in range(50):
        _, changed = content.other_lines(made.getvalue(), Random(seed))
        # The header and the content of either; what follows is padding, and at the end a block that ends it.
        differs = any(changed[at : at + 513] != made.getvalue()[at : at + 513] for at in (0, 1024))
        assert differs or changed[2048 : 2048 + 512] != bytes(512)


@pytest.mark.timeout(900)
def test_a_short_campaign(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for program in ("restic", "docker-registry", "age", "age-keygen", "cosign"):
        needs.program(program)
    log = tmp_path / "log"
    code = command.main(["--faults", "2", "--sound", "1", "--seed", "7", "--log", str(log)])
    told = capsys.readouterr().out
    assert code == 0, told
    assert "2 faults, 1 sound drills, 0 disagreements" in told
    assert command.main(["--total", "--log", str(log)]) == 0
