"""Values of a site in plain text and in shell commands."""

from __future__ import annotations

import shlex


class Finished(str):
    """Text that is quoted already."""

    __slots__ = ()


def shell_word(value: object) -> Finished:
    """One word of a shell, whatever is in it."""
    return Finished(shlex.quote(str(value)))


def quoted(value: object) -> object:
    """The same, always in quotes, so that no reader of the script wonders; a number stays bare."""
    return value if isinstance(value, int) else Finished("'" + str(value).replace("'", "'\\''") + "'")


def printable(value: object) -> str:
    """One line of text, whatever is in it; words that are quoted for a shell stay as they are."""
    if isinstance(value, Finished):
        return value
    return "".join(letter if letter.isprintable() else "?" for letter in str(value))
