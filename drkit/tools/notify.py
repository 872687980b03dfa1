"""Messages to people, by apprise. A message that cannot be delivered is logged and never an error."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from drkit.errors import ConfigError
from drkit.logs import encodable, redact, register_secret
from drkit.tools.deadline import within

log = logging.getLogger(__name__)

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
        raise ConfigError(
            f"cannot read the addresses in {path}: {error}", hint="see urls_file in [notify]"
        ) from None
    urls = tuple(line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#"))
    for url in urls:
        _hide(url)
    return urls


def tell(urls: Sequence[str], title: str, body: str, seconds: float = _SECONDS) -> list[str]:
    """Send a message to each address; returns those that failed, their secrets taken out.

    None of them is waited for longer than so many seconds.
    Never raises: a backup that is good stays good when the pager is down.
    """
    for url in urls:
        _hide(url)
    failed = []
    for url in urls:
        where, why = _send(url, encodable(redact(title)), encodable(redact(body)), seconds)
        if why is not None:
            log.warning("cannot notify %s: %s", where, redact(why))
            failed.append(where)
    return failed


def _send(url: str, title: str, body: str, seconds: float) -> tuple[str, str | None]:
    """Where the message went, as a person may see it, and why it did not arrive (None: it did)."""
    import apprise

    where = f"{url.partition('://')[0]}://..." if "://" in url else "an address without a scheme"
    try:
        # apprise tells its own log why it failed, and its caller only that it did.
        with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as said:  # type: ignore[no-untyped-call]
            service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
            if service is None:
                return where, "it is not an address that apprise knows"
            address = str(service.url(privacy=True))  # type: ignore[no-untyped-call]
            where = redact(address.partition("?")[0].rstrip("/"))
            if within(seconds, lambda: service.notify(title=title, body=body)):
                return where, None
            return where, " / ".join(said.getvalue().splitlines()) or "it was not delivered"
    except Exception as error:  # noqa: BLE001 - a plug-in of apprise may raise anything
        return where, str(error) or type(error).__name__


def _hide(url: str) -> None:
    """Take the secrets of an address out of everything that is said from now on."""
    for piece in _secrets_in(url):
        register_secret(piece)
        register_secret(unquote(piece))


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
