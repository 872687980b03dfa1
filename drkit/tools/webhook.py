"""Requests that tell a service of the web something: a ping, or a result as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from drkit.errors import ConfigError
from drkit.logs import encodable, redact, register_secret
from drkit.tools import notify
from drkit.tools.deadline import within

_ATTEMPTS = 3
_HEADER = re.compile(r"([A-Za-z0-9-]+):\s*(.+)")


@dataclass(frozen=True)
class Address:
    """An address and what to send along; both may hold secrets."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def shown(self) -> str:
        """The service, as a person may see it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"

    def below(self, name: str) -> str:
        """The address with one more step at the end of its path."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


def read_address(path: Path) -> Address:
    """The address in the first line of a file, and `Name: value` headers below it; raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"cannot read the address in {path}: {why}", hint="see docs/alarms.md") from None
    lines = [line.strip() for line in text.splitlines()]
    first, *rest = [line for line in lines if line and not line.startswith("#")] or [""]
    if not re.fullmatch(r"https?://[^\s/]+(?:/\S*)?", first) or not _sound(first):
        raise ConfigError(
            f"{path} has no address in its first line", hint="it looks like https://hc-ping.com/..."
        )
    headers = {}
    for line in rest:
        found = _HEADER.fullmatch(line)
        if found is None:
            raise ConfigError(f"{path}: a line is no header", hint="for example Authorization: Bearer ...")
        headers[found[1]] = register_secret(found[2])
    _hide(first)
    return Address(first, headers)


def send(address: Address, url: str, body: bytes, content_type: str, seconds: float) -> str | None:
    """POST a body; why that failed, None where the service has taken it. Never raises.

    What may work a moment later is tried again, all within so many seconds.
    """
    try:
        return within(seconds, lambda: _tries(address, url, body, content_type, seconds))
    except Exception as error:  # noqa: BLE001 - an alarm that fails is told, whatever it was
        return redact(str(error) or type(error).__name__)


def as_json(value: Mapping[str, Any]) -> bytes:
    """What a webhook gets."""
    return encodable(json.dumps(value)).encode()


def _tries(address: Address, url: str, body: bytes, content_type: str, seconds: float) -> str | None:
    import httpx

    headers = {"Content-Type": content_type, "User-Agent": "drkit", **address.headers}
    why = ""
    for _ in range(_ATTEMPTS):
        try:
            # A proxy of the environment holds: these are services of the web.
            within_it = httpx.Timeout(seconds / _ATTEMPTS)
            with httpx.stream("POST", url, content=body, headers=headers, timeout=within_it) as answer:
                # Only whether it was taken: what it has to say may have no end.
                code, taken = answer.status_code, answer.is_success
        except httpx.HTTPError as error:
            why = redact(str(error) or type(error).__name__)
            continue
        if taken:
            return None
        why = f"{address.shown} answered {code}"
        if code < 500 and code != 429:
            break
    return why


def _sound(url: str) -> bool:
    try:
        return bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:
        return False


def _hide(url: str) -> None:
    """Whoever knows the path can say that all is well."""
    notify.hide(url)
    parts = urlsplit(url)
    for piece in (parts.path.strip("/"), parts.query):
        if len(piece) >= 8:
            register_secret(piece)
