"""What is said, and what is left out of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest

from drkit.logs import redact, register_secret, set_up


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """The log is the process's; other tests want theirs back."""
    root = logging.getLogger("drkit")
    before = root.handlers, root.propagate, root.level
    yield
    root.handlers, root.propagate, root.level = before[0], before[1], before[2]


def test_registered_secrets_are_taken_out_everywhere() -> None:
    assert register_secret("correct horse") == "correct horse"
    assert redact("a correct horse, and a correct horse again") == "a ***, and a *** again"


def test_of_two_secrets_the_longer_goes_first() -> None:
    register_secret("battery")
    register_secret("battery-staple")
    assert redact("battery-staple or battery") == "*** or ***"


def test_short_words_are_left_alone() -> None:
    register_secret("cat")
    register_secret("")
    assert redact("concatenate") == "concatenate"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("rest:https://me:xyzzy1@backup.example.com/r", "rest:https://me:***@backup.example.com/r"),
        ("postgresql://postgres:xyzzy2@db/registry", "postgresql://postgres:***@db/registry"),
        ("redis://:xyzzy3@cache", "redis://:***@cache"),
        ("see https://example.com:8080/a@b and me@example.com", None),
        ("sftp://backup@host:22//srv", None),
    ],
)
def test_credentials_in_addresses(said: str, shown: str | None) -> None:
    assert redact(said) == (shown or said)


def test_a_line_bears_the_run_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    register_secret("open sesame")
    set_up("20261124-020000-4f2a9c")
    logging.getLogger("drkit.tools.process.execute").warning("said %s to https://u:pppp@host", "open sesame")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} 20261124-020000-4f2a9c WARNING "
        r"said \*\*\* to https://u:\*\*\*@host\n",
        captured.err,
    )


def test_tracebacks_are_redacted_too(capsys: pytest.CaptureFixture[str]) -> None:
    register_secret("open sesame")
    set_up("run")
    try:
        raise ValueError("open sesame")
    except ValueError:
        logging.getLogger("drkit").exception("a bug")
    captured = capsys.readouterr()
    assert "ValueError: ***" in captured.err
    assert "open sesame" not in captured.err


def test_which_programs_run_is_told_on_demand(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("drkit.tools.process.execute")
    set_up("run")
    log.debug("run restic")
    assert capsys.readouterr().err == ""
    set_up("run", verbose=True)
    log.debug("run restic")
    assert capsys.readouterr().err.endswith(" run DEBUG run restic\n")
