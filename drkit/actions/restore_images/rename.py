"""`--rename OLD=NEW`: under which name an image goes to its target; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from drkit.errors import UsageError

_NAME = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+|/)[a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?")
_HINT = "as in --rename library=restored, library/app=library/app-old or library/app:v1=library/app:v1-old"


@dataclass(frozen=True)
class Rename:
    """A project, a repository or a tag, and what it is called at the target."""

    old: str
    new: str

    def of(self, repository: str, tag: str) -> tuple[str, str] | None:
        """The new names of an image that it is about, else None."""
        if ":" in self.old:
            if f"{repository}:{tag}" != self.old:
                return None
            name, _, tag = self.new.rpartition(":")
            return name, tag
        if repository == self.old:
            return self.new, tag
        if repository.startswith(f"{self.old}/"):
            return f"{self.new}{repository[len(self.old) :]}", tag
        return None


def parse(texts: Sequence[str]) -> tuple[Rename, ...]:
    """The renames that were asked for; raises UsageError."""
    found = []
    for text in texts:
        old, equals, new = text.partition("=")
        if not equals or not _NAME.fullmatch(old) or not _NAME.fullmatch(new):
            raise UsageError(f'"{text}" is no renaming', hint=_HINT)
        if (":" in old) != (":" in new):
            raise UsageError(f'"{text}" renames a tag to something else, or the other way round', hint=_HINT)
        found.append(Rename(old, new))
    return tuple(found)


def renamed(renames: Sequence[Rename], repository: str, tag: str) -> tuple[str, str]:
    """What an image is called at the target: by the first renaming that is about it."""
    for each in renames:
        if (found := each.of(repository, tag)) is not None:
            return found
    return repository, tag
