"""What runs may take, and what runs around them: `[limits]`, `[max_duration]`, `[[hook]]`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from drkit.config.fields import Duration
from drkit.config.section import Section

Verb = Literal["backup", "copy", "drill", "expire", "runbook", "verify"]
When = Literal["before", "after", "failed"]


class Limits(Section):
    """`[limits]`: how unattended verbs and the programs that they start give way to others."""

    nice: int = Field(0, ge=0, le=19)
    io: Literal["normal", "low", "idle"] = "normal"


class MaxDuration(Section):
    """`[max_duration]`: how long each verb may take; then it is ended as by an interruption."""

    backup: Duration | None = None
    copy_: Duration | None = Field(None, alias="copy")
    drill: Duration | None = None
    expire: Duration | None = None
    runbook: Duration | None = None
    verify: Duration | None = None

    def of(self, verb: str) -> timedelta | None:
        """The limit of a verb, if it has one."""
        found: timedelta | None = self.model_dump(by_alias=True).get(verb)
        return found


def _program_first(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words or not words[0].startswith("/"):
        raise ValueError('the first is a program by its absolute path: ["/usr/local/bin/quiesce", "on"]')
    return words


class Hook(Section):
    """`[[hook]]`: a program that runs before or after verbs, or only after one that failed."""

    when: When
    verbs: tuple[Verb, ...] = Field(min_length=1)
    command: Annotated[tuple[str, ...], AfterValidator(_program_first)]
    timeout: Duration = timedelta(minutes=5)
    required: bool = False
