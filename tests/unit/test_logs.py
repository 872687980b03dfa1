"""What is said, and what is left out of it."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drkit import logs
from drkit.logs import redact, register_secret, set_up


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """The log is the process's; other tests want theirs back."""
    own, root = logging.getLogger("drkit"), logging.getLogger()
    before = own.handlers, own.propagate, own.level, root.handlers
    yield
    logging.captureWarnings(False)
    own.handlers, own.propagate, own.level, root.handlers = before


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
        ("redis://:xy@zz:y@cache", "redis://:***@cache"),
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


def test_a_name_forges_no_line_and_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("run")
    name = "a\n2026-11-30T00:00:00+0000 run INFO all is well\x1b[2J\r\udcff\u2028b"
    logging.getLogger("drkit").warning("cannot read %s", name)
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("WARNING cannot read a")
    assert second == "    2026-11-30T00:00:00+0000 run INFO all is well?[2J?\\udcff?b"


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


_LIBRARIES = """
import logging, warnings
from drkit.logs import register_secret, set_up
register_secret("open sesame")
for verbose in (False, True):
    set_up("run", verbose=verbose)
    logging.getLogger("psycopg").warning("error ignored in rollback of %s", "open sesame")
    warnings.warn(f"open sesame is old ({verbose})", UserWarning)
"""


def test_what_libraries_say_is_told_on_demand() -> None:
    """psycopg logs a rollback that a lost connection makes needless; drkit has said what is wrong."""
    said = subprocess.run([sys.executable, "-c", _LIBRARIES], capture_output=True, text=True, check=True)
    assert said.stdout == ""
    first, second = said.stderr.strip().splitlines()[:2]
    assert first.endswith(" run WARNING error ignored in rollback of ***")
    assert second.endswith(" UserWarning: *** is old (True)")
    assert "sesame" not in said.stderr


# JSON lines


def parsed(said: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in said.splitlines()]


@pytest.fixture
def as_json() -> Iterator[None]:
    logs.use(logs.Form.JSON)
    yield
    logs.use(logs.Form.TEXT)


@pytest.mark.usefixtures("as_json")
def test_each_event_is_one_line_of_json_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    register_secret('quo"te\\sec')
    set_up("backup[1]")
    logs.note_fields(drkit__site="registry.example.com")
    log = logging.getLogger("drkit.cli")
    odd = 'a\nb\u2028c \udcff \x00 "quo"te\\sec" https://u:pppp@host'
    log.warning("said %s", odd, extra={logs.FIELDS: {"drkit.stage": odd, "drkit.progress.done": 3}})
    try:
        raise ValueError('quo"te\\sec')
    except ValueError:
        log.exception("a bug")
    said = capsys.readouterr().err
    assert said.isascii()
    first, second = parsed(said)
    shown = 'a\nb\u2028c \\udcff \x00 "***" https://u:***@host'
    assert first["message"] == f"said {shown}"
    assert (first["drkit.stage"], first["drkit.progress.done"]) == (shown, 3)
    assert (first["log.level"], first["service.name"], first["drkit.run"]) == (
        "warning",
        "drkit",
        "backup[1]",
    )
    assert first["drkit.site"] == "registry.example.com"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(first["@timestamp"]))
    assert second["error.type"] == "ValueError"
    assert str(second["error.stack_trace"]).endswith("ValueError: ***")


def test_json_is_for_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as file:
        status = os.fstat(file.fileno())
        journal = f"{status.st_dev}:{status.st_ino}"
        assert logs.form_of({"JOURNAL_STREAM": journal}, file.fileno()) is logs.Form.JSON
        assert logs.form_of({"JOURNAL_STREAM": "1:2"}, file.fileno()) is logs.Form.TEXT, "inherited"
        asked = {"JOURNAL_STREAM": journal, "DRKIT_LOG_FORMAT": "text"}
        assert logs.form_of(asked, file.fileno()) is logs.Form.TEXT
        assert logs.form_of({}, file.fileno()) is logs.Form.TEXT
        with pytest.raises(ValueError, match="xml"):
            logs.form_of({"DRKIT_LOG_FORMAT": "xml"}, file.fileno())


def test_nobody_is_sent_what_was_said_before_it_was_known_to_be_secret(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up("run")
    logging.getLogger("drkit").warning("a hook: open-barley")
    register_secret("open-barley")
    capsys.readouterr()
    assert logs.tail().endswith("a hook: ***")


def test_the_tail_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("run")
    logging.getLogger("drkit").warning("the last words")
    assert logs.tail().endswith(" run WARNING the last words")
    assert "the last words" in capsys.readouterr().err
