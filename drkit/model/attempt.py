"""An attempt at a verb that somebody relies on, whoever started it: when it began, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

# What shows as much as the same verb in any other scope.
_MORE = (("keys rotate", "--points"), ("copy", ""), ("expire", ""))
_DAMAGE = ("repository_damaged", "vault_damaged")
# How much of what is stored an attempt looked at.
STRUCTURE, SOME_DATA, ALL_DATA = 0, 1, 2


@dataclass(frozen=True)
class Attempt:
    """One run of a verb; `scope` is what it was confined to: a drill's level (`full`, `full from offsite`),
    another repository's name, or an option that makes another verb of it.

    Until it has ended it is `running`, or it was killed. `kind` and `message` are those of the error that it
    ended with, `subject` is what it made: a drill's id, a point's. `recovery_time_seconds` is what a drill
    measured.
    """

    id: str
    verb: str
    scope: str
    began_at: datetime
    ended_at: datetime | None = None
    exit_code: int | None = None
    kind: str = ""
    message: str = ""
    subject: str = ""
    thorough: int = STRUCTURE
    running: bool = False
    recovery_time_seconds: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took by the clock on the wall; None until it has ended."""
        return (self.ended_at - self.began_at).total_seconds() if self.ended_at else None

    @property
    def key(self) -> str:
        """What later attempts are compared by."""
        return f"{self.verb} {self.scope}".rstrip()

    @property
    def label(self) -> str:
        """For a person: `full drill`, `verify of offsite`, `backup`."""
        if self.verb == "drill":
            level, from_, repository = self.scope.partition(" from ")
            return f"{level} drill{from_}{repository}".lstrip()
        if self.verb == "copy" and self.scope:
            return f"copy to {self.scope}"
        if self.verb == "expire" and self.scope:
            return f"expire in {self.scope}"
        return f"{self.verb} of {self.scope}" if self.scope and self.command == self.verb else self.command

    @property
    def command(self) -> str:
        """The words after `drkit` that do the same again."""
        if self.verb == "copy" and self.scope:
            return f"copy --to {self.scope}"
        if self.verb == "expire" and self.scope:
            return f"expire --repository {self.scope}"
        if self.verb == "drill" and self.drilled_from:
            return f"drill --repository {self.drilled_from}"
        return f"{self.verb} {self.scope}" if self.scope.startswith("--") else self.verb

    @property
    def drilled_from(self) -> str:
        """The repository that a drill was told to use; empty for the primary one."""
        return self.scope.partition(" from ")[2]

    @property
    def good(self) -> bool:
        """Whether it ended well."""
        return self.exit_code == 0

    @property
    def lost(self) -> bool:
        """Whether it has no end and never will have: it was killed, or the machine went down."""
        return self.ended_at is None and not self.running

    @property
    def damage(self) -> bool:
        """Whether it found that something which was stored is not as it was."""
        return self.kind in _DAMAGE

    def covered_by(self, later: Attempt) -> bool:
        """Whether a success of the other one shows at least what one of this would have shown."""
        if self.verb != later.verb:
            return False
        if self.verb == "drill":
            full = later.scope.partition(" ")[0] == "full"
            return self.scope == later.scope or (full and self.drilled_from == later.drilled_from)
        return self.scope == later.scope or (self.verb, later.scope) in _MORE

    def mended_by(self, later: Attempt) -> bool:
        """Whether the success of the other one takes back that this one did not end well.

        Damage that was met while data was read may be where another sample does not look.
        """
        if not self.covered_by(later):
            return False
        return not self.damage or self.thorough == STRUCTURE or later.thorough == ALL_DATA
