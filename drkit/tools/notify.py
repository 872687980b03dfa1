"""Messages to people, by apprise. That one cannot be delivered is told, and never an error."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from drkit.errors import ConfigError
from drkit.logs import encodable, redact, register_secret
from drkit.tools.deadline import within

if TYPE_CHECKING:
    import apprise

# Long, and with digits among the letters: a token rather than the name of a host or a topic.
_TOKEN = re.compile(
    r"(?=\S*\d)(?=\S*[a-z])(?=\S*[A-Z])[\w+~-]{12,}|(?=\S*\d)(?=\S*[a-z])[\w+~-]{20,}", re.ASCII
)
# For one address, in all; a server that sends a byte a second would never end otherwise.
_SECONDS = 60.0
_TELLING = ("pass", "password", "token", "key", "apikey", "secret")


def read_urls(path: Path) -> tuple[str, ...]:
    """The addresses in a file, one a line, without empty lines and `#` comments; raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the addresses in {path}: {error}", hint="see [notify]") from None
    urls = tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    for url in urls:
        hide(url)
    return urls


def send(url: str, title: str, body: str, seconds: float = _SECONDS) -> tuple[str, str | None]:
    """Where a message went, as a person may see it, and why it did not arrive (None: it did).

    It is waited for no longer than so many seconds. Never raises: a backup that is good stays good when the
    pager is down.
    """
    hide(url)
    where, why = _send(url, encodable(redact(title)), encodable(redact(body)), seconds)
    return where, None if why is None else redact(why)


def _send(url: str, title: str, body: str, seconds: float) -> tuple[str, str | None]:
    import apprise

    where = f"{url.partition('://')[0]}://..." if "://" in url else "an address without a scheme"
    try:
        service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        if service is None:
            return where, "it is not an address that apprise knows"
        address = str(service.url(privacy=True))  # type: ignore[no-untyped-call]
        where = redact(address.partition("?")[0].rstrip("/"))
        return where, within(seconds, lambda: _delivered(service, title, body))
    except Exception as error:  # noqa: BLE001 - a plug-in of apprise may raise anything
        return where, str(error) or type(error).__name__


def _delivered(service: apprise.NotifyBase, title: str, body: str) -> str | None:
    """Why it was not delivered; apprise tells its own log why, and its caller only that."""
    with _Said() as said:
        if service.notify(title=title, body=body):
            return None
    return " / ".join(said.lines) or "it was not delivered"


class _Said(logging.Handler):
    """What apprise logs in this thread; others may send at the same time."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.lines += record.getMessage().splitlines()

    def __enter__(self) -> _Said:
        logging.getLogger("apprise").addHandler(self)
        return self

    def __exit__(self, *_error: object) -> None:
        logging.getLogger("apprise").removeHandler(self)


def hide(url: str) -> None:
    """Take the secrets of an address out of everything that is said from now on."""
    for piece in _secrets_in(url):
        register_secret(piece)
        register_secret(unquote(piece))


def holds_secret(url: str) -> bool:
    """Whether there is a password or a token in an address."""
    return any(_secrets_in(url))


def _secrets_in(url: str) -> Iterator[str]:
    _scheme, _, rest = url.partition("://")
    yield from (piece for piece in re.split(r"[/:@?&=#,]+", rest) if _TOKEN.fullmatch(piece))
    authority, _, query = rest.partition("?")
    if "@" in authority:
        # Passwords may hold anything, slashes too.
        yield authority.rpartition("@")[0].partition(":")[2]
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name.lower() in _TELLING:
            yield value
