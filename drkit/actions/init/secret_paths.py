"""What `init` finds to protect, and what it says of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from drkit.model.needed import Needed
from drkit.secrets import classify, collect
from drkit.secrets.kinds import SecretKind


def found(needed: Iterable[Needed]) -> tuple[Needed, ...]:
    """What is there of all that a restored registry needs or may want."""
    return tuple(each for each in needed if each.path.exists())


def missing(needed: Iterable[Needed]) -> list[str]:
    """What is named and is not there: it cannot be saved, and a restored registry will want it."""
    return [f"{each.path} is not there: {each.purpose}" for each in needed if not each.path.exists()]


def described(path: Path) -> str:
    """What a further path is, as far as its content tells; raises ConfigError where it cannot be read."""
    files = collect.files(collect.collect([path]).members)
    found = dict.fromkeys(classify.what_is(file.path, file.data) for file in files)
    named = "; ".join(kind for kind in found if kind != SecretKind.OTHER) or (
        "directory" if path.is_dir() else "file"
    )
    return f"{named} (you named it)"
