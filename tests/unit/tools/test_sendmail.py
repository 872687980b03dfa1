"""Mail by what is called sendmail: a program of ours that keeps what it is given."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drkit.config import Notify
from drkit.tools import sendmail

NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)


def program(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    file = directory / "bin" / "sendmail"
    file.parent.mkdir()
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{file.parent}:/usr/bin:/bin")


def test_a_mail_goes_through_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, f'printf "%s " "$@" >{tmp_path}/words; cat >{tmp_path}/mail')
    title, body = "RED: café\nBcc: evil@example.com", "a line\n.\nFrom here\nünï"
    assert sendmail.send(("root", "ops@example.com"), title, body, NOW, 30) is None
    assert (tmp_path / "words").read_text() == "-i -t "
    mail = email.message_from_bytes((tmp_path / "mail").read_bytes(), policy=email.policy.default)
    assert mail["To"] == "root, ops@example.com"
    assert mail["Subject"] == "RED: café Bcc: evil@example.com"
    assert mail["Bcc"] is None
    assert mail.get_content() == f"{body}\n"


def test_why_it_was_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "echo 'no mail today' >&2; exit 75")
    why = sendmail.send(("root",), "title", "body", NOW, 30)
    assert why == "sendmail failed with exit code 75: no mail today"


def test_nobody_waits_for_one_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "exec sleep 5")
    assert sendmail.send(("root",), "title", "body", NOW, 0.2) == "no answer within 0 seconds"


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("root", True),
        ("ops+drkit@example.com", True),
        ("-oQ/tmp@example.com", False),
        ("a, b", False),
        ("Ops <ops@example.com>", False),
        ("root\nBcc: x", False),
    ],
)
def test_addresses(text: str, good: bool) -> None:
    if good:
        assert Notify(mail=(text,)).mail == (text,)
    else:
        with pytest.raises(ValueError, match="an address looks like"):
            Notify(mail=(text,))
