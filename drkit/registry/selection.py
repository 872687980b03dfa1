"""Which images somebody means: a project, repositories, tags or a digest; pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from drkit.errors import UsageError

_WILD = re.compile(r"[*?\[]")
_DIGEST = re.compile(r"sha256:[0-9a-f]{8,64}")
_FORMS = "project, project/repository, project/repository:tag or project/repository@sha256:..., with * and ?"


@dataclass(frozen=True)
class Selection:
    """What a pattern names: repositories by name or by their project, a tag of them, or a digest.

    A digest may be cut short, and a `*` in a name stands for anything, a `/` too.
    """

    text: str
    repositories: str
    tag: str | None = None
    digest: str | None = None

    @property
    def exact(self) -> bool:
        """Whether it can name no more than one repository, which then is `repositories`."""
        return "/" in self.repositories and not _WILD.search(self.repositories)

    def covers(self, repository: str) -> bool:
        """Whether a repository is meant, or something in it."""
        if fnmatchcase(repository, self.repositories):
            return True
        named = "/" not in self.repositories and not _WILD.search(self.repositories)
        return named and repository.startswith(f"{self.repositories}/")

    def matches(self, repository: str, tag: str, digest: str) -> bool:
        """Whether an image is meant, by one of its tags or, with an empty `tag`, without any."""
        if not self.covers(repository):
            return False
        if self.digest is not None:
            return digest.startswith(self.digest)
        return self.tag is None or (bool(tag) and fnmatchcase(tag, self.tag))

    @property
    def whole(self) -> bool:
        """Whether everything is meant that a repository has."""
        return self.tag is None and self.digest is None


def parse(text: str) -> Selection:
    """The selection that a pattern says; raises UsageError."""
    name, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise UsageError(f'"{text}" is no pattern: behind @ comes sha256: and at least 8 digits', hint=_FORMS)
    tag = None
    if not at and ":" in name.rpartition("/")[2]:
        name, _, tag = name.rpartition(":")
    if not name or tag == "" or any(letter.isspace() for letter in text) or "://" in text:
        raise UsageError(f'"{text}" is no pattern of images', hint=f"give {_FORMS}")
    return Selection(text, name, tag, digest if at else None)


def nearest(selection: Selection, names: Iterable[str]) -> tuple[str, ...]:
    """The names of repositories that are most like what was asked for."""
    return tuple(difflib.get_close_matches(selection.repositories, list(names), n=3, cutoff=0.5))
