"""What is known of removals from a repository."""

from __future__ import annotations

from dataclasses import dataclass

# No file of a repository has this name: to remove it removes nothing.
NOBODY = f"snapshots/{'0' * 64}"


@dataclass(frozen=True)
class Removals:
    """Whether this host may remove: None where it is not known; `why` says how it was found out, or why not.

    `kept` says why what is removed is not gone for good, where it is not.
    """

    allowed: bool | None
    why: str
    kept: str = ""

    @property
    def safe(self) -> bool:
        """Whether this host cannot destroy the repository."""
        return self.allowed is False or bool(self.kept)
