"""harbor.yml for another host: two lines are changed, everything else stays as its author left it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*")
_HOSTNAME = re.compile(r"^hostname:.*$", re.MULTILINE)
_EXTERNAL_URL = re.compile(r"^external_url:[ \t]*(['\"]?)([^'\"#\s]+)\1.*$", re.MULTILINE)


def is_hostname(name: str) -> bool:
    """Whether a host can have this name; Harbor refuses those that mean this machine alone."""
    return _NAME.fullmatch(name) is not None and name not in ("localhost", "127.0.0.1")


def moved(text: str, hostname: str) -> str:
    """The text of a harbor.yml that says another host, and whose external_url, if it has one, does."""
    text = _HOSTNAME.sub(f"hostname: {hostname}", text, count=1)
    return _EXTERNAL_URL.sub(lambda found: f"external_url: {_elsewhere(found[2], hostname)}", text, count=1)


def _elsewhere(url: str, hostname: str) -> str:
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return urlunsplit(parts._replace(netloc=f"{hostname}{port}"))
