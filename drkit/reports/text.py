"""Values of a site in plain text and in shell commands, and the templates that they stand in."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined


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


def templates(
    finalize: Callable[[object], object] | None = None, **filters: Callable[..., object]
) -> Environment:
    """The templates: of HTML, unless `finalize` makes each value fit for plain text or for a shell."""
    environment = Environment(
        loader=PackageLoader("drkit.reports", "templates"),
        autoescape=finalize is None,  # noqa: S701 - what `finalize` has made has nothing to escape
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters
    return environment
