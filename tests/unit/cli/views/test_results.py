"""What stands on stdout and what the exit code says are one."""

from __future__ import annotations

import io

import pytest

from drkit.actions.doctor.finding import Finding
from drkit.actions.doctor.run import Diagnosis
from drkit.actions.restore.run import RestoredStep, RestoreResult
from drkit.cli.output import Output
from drkit.cli.views import restore, results

POINT = "20261124-020000-4f2a9c"
ALL = ("database registry", "image blobs", "3 secret files")


def said_of(back: tuple[str, ...], *, planned: tuple[str, ...] = ALL, succeeded: bool = True) -> str:
    """The verdict on a restore of which these parts came back."""
    steps = tuple(RestoredStep(what, "there", 1.0, "hashed") for what in back)
    missing = tuple(what for what in planned if what not in back)
    left_out = tuple(what for what in ALL if what not in planned)
    stream = io.StringIO()
    result = RestoreResult(POINT, missing, left_out, steps, (), (), (), 3.0)
    restore.restore(Output(stream, succeeded=succeeded), result)
    return next(line for line in stream.getvalue().splitlines() if "recovery point" in line)


def test_a_point_is_back_where_all_of_it_is() -> None:
    assert said_of(ALL) == f"recovery point {POINT} is back (3.0 s)"


def test_a_part_alone_is_not_the_point() -> None:
    assert said_of(ALL[:1], planned=ALL[:1]) == (
        f"restored of recovery point {POINT}: database registry (3.0 s);"
        " not requested: image blobs, 3 secret files"
    )


@pytest.mark.parametrize(
    ("back", "words"),
    [
        ((), "nothing; not restored: database registry, image blobs, 3 secret files"),
        (ALL[:2], "database registry, image blobs; not restored: 3 secret files"),
        # Each part is there, and the error says what is wrong with one.
        (ALL, "database registry, image blobs, 3 secret files"),
    ],
)
def test_after_an_error_no_point_is_back(back: tuple[str, ...], words: str) -> None:
    assert (
        said_of(back, succeeded=False)
        == f"recovery point {POINT} is not restored completely; restored: {words}"
    )


def test_doctor_is_content_only_where_its_exit_code_is() -> None:
    found = Diagnosis((Finding("restic", "ok", "0.18.0"),), 0, 0)
    for succeeded in (True, False):
        stream = io.StringIO()
        results.doctor(Output(stream, succeeded=succeeded), found)
        assert ("Nothing prevents a backup" in stream.getvalue()) is succeeded
