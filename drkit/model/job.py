"""What may stand on a schedule: its key there, the command that it means, and which attempts count for it."""

from __future__ import annotations

import hashlib
from datetime import timedelta

from drkit.model.attempt import Attempt

# The keys of [schedule]; what matters most comes first, where several are due at the same time.
JOBS = ("backup", "copy", "verify", "drill", "drill_quick", "expire", "runbook")
_INTERRUPTED = 130


def words(job: str, *, several: bool, verify_for: timedelta | None = None) -> tuple[str, ...]:
    """The words after `drkit` that do it; `several`: there is more than one repository to be drilled.

    `verify_for` is how long a verify reads.
    """
    match job:
        case "verify" if verify_for is not None:
            return ("verify", "--for", f"{verify_for.total_seconds():.0f}s")
        case "drill" | "drill_quick":
            level = "quick" if job == "drill_quick" else "full"
            return ("drill", "--level", level, *(("--in-turn",) if several else ()))
        case _:
            return (job,)


def verb(job: str) -> str:
    """The verb alone."""
    return words(job, several=False)[0]


def is_run_of(attempt: Attempt, job: str) -> bool:
    """Whether an attempt is one at this job: for a quick drill any will do, for a full one a full one.

    One that was confined to something else (a single repository's copy or expiry) is not.
    """
    if attempt.verb != verb(job):
        return False
    match job:
        case "drill":
            return attempt.scope.partition(" ")[0] == "full"
        case "drill_quick" | "verify":
            return True
        case _:
            return not attempt.scope


def has_run(attempt: Attempt) -> bool:
    """Whether it was carried through, well or not: what was killed or interrupted is to be made up for."""
    return attempt.ended_at is not None and attempt.exit_code != _INTERRUPTED


def delay(site: str, job: str, jitter: timedelta) -> timedelta:
    """By how much a site's job is put off: whole seconds, at most `jitter`, and always the same."""
    digest = hashlib.sha256(f"{site}\n{job}".encode()).digest()
    seconds = int(jitter.total_seconds())
    return timedelta(seconds=int.from_bytes(digest[:8]) % (seconds + 1))
