"""Who is told: addresses of apprise, mail by sendmail. Each is named as a person may see it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drkit.actions.alarms.settings import AlarmSettings
from drkit.errors import ConfigError
from drkit.model import utc_now
from drkit.tools import notify, sendmail
from drkit.tools.parallel import in_order

# For each, and as they are told side by side, for all of them.
SECONDS = 30.0
_AT_ONCE = 32


@dataclass(frozen=True)
class Delivery:
    """Whether a message has reached a target; `why` is empty where it has."""

    target: str
    why: str = ""


@dataclass(frozen=True)
class Target:
    """Somebody to tell; `key` is what the memory knows it by, and holds no secret.

    `send` takes title, body and seconds, and returns how the target is called and why it failed.
    """

    key: str
    critical_only: bool
    send: Callable[[str, str, float], Delivery] = field(repr=False)

    def tell(self, title: str, body: str, seconds: float = SECONDS) -> Delivery:
        """Send it; never raises, and never takes longer than so many seconds."""
        return self.send(title, body, seconds)


def every(settings: AlarmSettings) -> Iterator[Target]:
    """All of them; a file of addresses that cannot be read is a target that nothing reaches."""
    told = settings.notify
    for url in told.urls:
        yield _by_apprise(url, critical_only=False)
    for file, critical_only in ((told.urls_file, False), (told.critical_urls_file, True)):
        if file:
            yield from _of_file(file, critical_only=critical_only)
    if told.mail:
        yield _by_mail(told.mail)


def _of_file(file: Path, *, critical_only: bool) -> Iterator[Target]:
    try:
        urls = notify.read_urls(file)
    except ConfigError as error:
        failed = Delivery(str(file), error.message)
        yield Target(f"file {file}", critical_only, lambda _title, _body, _seconds: failed)
        return
    for url in urls:
        yield _by_apprise(url, critical_only=critical_only)


def _by_apprise(url: str, *, critical_only: bool) -> Target:
    key = f"url {hashlib.sha256(url.encode()).hexdigest()[:16]}"

    def send(title: str, body: str, seconds: float) -> Delivery:
        where, why = notify.send(url, title, body, seconds)
        return Delivery(where, why or "")

    return Target(f"critical {key}" if critical_only else key, critical_only, send)


def _by_mail(addresses: tuple[str, ...]) -> Target:
    names = ", ".join(addresses)

    def send(title: str, body: str, seconds: float) -> Delivery:
        why = sendmail.send(addresses, title, body, utc_now(), seconds)
        return Delivery(f"mail to {names}", why or "")

    return Target(f"mail {names}", False, send)


def side_by_side(work: Sequence[Callable[[], Delivery]]) -> list[Delivery]:
    """Do all of it at once; each ends by itself in its time."""
    return list(in_order(work, lambda each: each(), _AT_ONCE)) if work else []
