"""Mail by the system's own sendmail, whatever stands behind that name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime

from drkit.errors import Failure
from drkit.logs import encodable, redact
from drkit.tools.deadline import within
from drkit.tools.process import execute
from drkit.tools.process.command import Command, find_program

_HINT = "install what brings it, such as msmtp-mta or postfix"


def message(addresses: Sequence[str], title: str, body: str, at: datetime) -> bytes:
    """The mail with its headers; pure. Whoever sends it by himself is told that nobody reads an answer."""
    mail = EmailMessage()
    mail["To"] = ", ".join(addresses)
    # A header is one line: what is told may come from a file's name.
    mail["Subject"] = " ".join(encodable(redact(title)).split())
    mail["Date"] = format_datetime(at)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(encodable(redact(body)))
    return mail.as_bytes(policy=policy.default.clone(max_line_length=78))


def send(addresses: Sequence[str], title: str, body: str, at: datetime, seconds: float) -> str | None:
    """Why the mail was not taken; None where sendmail has taken it. Never raises.

    The addresses stand in the mail alone (`-t`), where nothing takes them for options.
    """
    try:
        program = find_program("sendmail", hint=_HINT)
        command = Command((program, "-i", "-t"), tidying=True, nothing_behind=True)
        text = message(addresses, title, body, at)
        within(seconds, lambda: execute.check(command, stdin=text))
    except (Failure, OSError) as error:
        return redact(str(error) or type(error).__name__)
    return None
