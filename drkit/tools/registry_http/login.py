"""Logging in to a registry: user and password from a file, basic authentication, or tokens that end."""

from __future__ import annotations

import base64
import re
import stat
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from drkit.errors import ConfigError, ToolFailed
from drkit.logs import register_secret

_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_KEYED = re.compile(r"(?:export\s+)?(USERNAME|PASSWORD)=(.*)")
# A token that ends so soon is not used for anything more; one of which nobody says so lasts a minute.
_SPARE_SECONDS = 15.0
_LASTS_SECONDS = 60.0

# Asks an address with these parameters and headers; returns status and JSON.
Ask = Callable[[str, Mapping[str, str | list[str]], Mapping[str, str]], tuple[int, Any]]


@dataclass(frozen=True)
class Account:
    """A user and the password, which may be a robot's token."""

    user: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        """What basic authentication sends."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def read_account(path: Path) -> Account:
    """The account in a file: `user:password`, or lines of USERNAME=... and PASSWORD=...; raises ConfigError.

    One that others may read is refused.
    """
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(
            f"cannot read the credentials file {path}: {why}", hint="see --credentials"
        ) from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"others may read the credentials file {path}", hint=f"chmod 600 {path}")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    keyed = {found[1]: found[2].strip("'\"") for line in lines if (found := _KEYED.fullmatch(line))}
    if lines and len(keyed) == len(lines) == 2:
        user, password = keyed["USERNAME"], keyed["PASSWORD"]
    else:
        user, _, password = lines[0].partition(":") if len(lines) == 1 else ("", "", "")
    if not user or not password:
        raise ConfigError(
            f"the credentials file {path} names no user and password",
            hint="it has one line, user:password, or two: USERNAME=... and PASSWORD=...",
        )
    return Account(user, register_secret(password))


@dataclass
class Login:
    """What to send as `Authorization`, for several threads: found out by the first refusal.

    `ask` is for token services; `secure` says whether the registry itself is asked by HTTPS.
    """

    account: Account | None
    ask: Ask
    secure: bool
    clock: Callable[[], float] = time.monotonic
    _challenge: dict[str, str] | None = field(default=None, init=False)
    _basic: bool = field(default=False, init=False)
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def header(self, scope: str) -> str | None:
        """What to send for a scope (`repository:library/app:pull,push`); several are parted by spaces."""
        with self._lock:
            if self._basic and self.account:
                return self.account.basic
            if self._challenge is None:
                return None
            token, end = self._tokens.get(scope, ("", 0.0))
            if self.clock() >= end:
                token, end = self._token(self._challenge, scope)
                self._tokens[scope] = (token, end)
            return f"Bearer {token}"

    def refused(self, challenge: str, sent: str | None, scope: str) -> bool:
        """Be told of a 401 and its `WWW-Authenticate`; returns whether it is worth to ask once more."""
        kind = challenge.partition(" ")[0].lower()
        with self._lock:
            if kind == "bearer":
                self._challenge = dict(_CHALLENGE.findall(challenge))
                token, _ = self._tokens.get(scope, ("", 0.0))
                if sent == f"Bearer {token}":
                    # It has ended sooner than was said.
                    self._tokens.pop(scope, None)
                return True
            if kind == "basic" and self.account and not self._basic:
                self._basic = True
                return True
            return False

    def _token(self, challenge: Mapping[str, str], scope: str) -> tuple[str, float]:
        realm = challenge.get("realm", "")
        if urlsplit(realm).scheme not in (("https",) if self.secure else ("https", "http")):
            raise ToolFailed(f"the registry names a token service that is not to be trusted: {realm!r}")
        query: dict[str, str | list[str]] = {"service": challenge.get("service", ""), "scope": scope.split()}
        headers = {"Authorization": self.account.basic} if self.account else {}
        began = self.clock()
        status, found = self.ask(realm, query, headers)
        if status in (401, 403):
            who = self.account.user if self.account else "a client without credentials"
            raise ConfigError(
                f"the registry refuses {who}: {realm} answers {status}",
                hint="see the user and password in --credentials FILE",
            )
        try:
            token = str(found.get("token") or found["access_token"])
            lasts = float(found.get("expires_in") or _LASTS_SECONDS)
        except (AttributeError, KeyError, TypeError, ValueError):
            raise ToolFailed(f"{realm} gives no token: it answers {status}") from None
        return register_secret(token), began + max(1.0, lasts - _SPARE_SECONDS)
