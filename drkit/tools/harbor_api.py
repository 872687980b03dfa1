"""Harbor over its HTTP API (`/api/v2.0`), by httpx: its version, read-only mode, garbage collections.

Every request stands alone. Harbor sends a session cookie with each answer, and refuses a change that brings
one back without its token against forged requests (src/server/middleware/csrf).
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from drkit.errors import ConfigError, ToolFailed
from drkit.logs import register_secret
from drkit.tools.deadline import within

_SECONDS = 30.0
_ATTEMPTS = 4
_LARGEST = 8 << 20
_FINAL = ("SUCCESS", "ERROR", "STOPPED")


class _Passing(Exception):
    """Something that may well work a moment later."""


def read_password(path: Path) -> str:
    """The password in a file, without its line's end; raises ConfigError."""
    try:
        return register_secret(path.read_text(encoding="utf-8").rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the password file {path}: {error}", hint="see password_file in [harbor]"
        ) from None


@dataclass(frozen=True)
class About:
    """What Harbor says of itself; None where it does not tell this user."""

    version: str | None
    read_only: bool | None


@dataclass(frozen=True)
class Run:
    """One garbage collection."""

    id: int
    status: str
    dry_run: bool

    @property
    def under_way(self) -> bool:
        """Whether it has not ended yet; a status that nobody knows has not."""
        return self.status.upper() not in _FINAL


@dataclass(frozen=True)
class HarborApi:
    """One Harbor, as one user.

    Every method raises ToolFailed, or ConfigError where user, password or certificate are refused.
    """

    url: str
    user: str
    password: str = field(repr=False)
    ca_file: Path | None = None

    def about(self) -> About:
        """Version and mode; a wrong password is not noticed here, for anybody may ask."""
        found = self._ask("GET", "systeminfo")
        version, mode = found.get("harbor_version"), found.get("read_only")
        return About(str(version) if version else None, mode if isinstance(mode, bool) else None)

    def read_only(self) -> bool:
        """Whether it is in read-only mode."""
        found = self._ask("GET", "configurations")
        try:
            return bool(found["read_only"]["value"])
        except (KeyError, TypeError):
            raise ToolFailed(f"{self.url} does not say whether it is read-only") from None

    def set_read_only(self, value: bool) -> None:
        """Turn read-only mode on or off, and see that it is so."""
        self._ask("PUT", "configurations", {"read_only": value})
        if self.read_only() is not value:
            raise ToolFailed(f"{self.url} accepted the change of read-only mode, but has not changed")

    def collections(self) -> tuple[Run, ...]:
        """The newest garbage collections, newest first."""
        found = self._ask("GET", "system/gc?page=1&page_size=50&sort=-creation_time")
        if not isinstance(found, list):
            raise ToolFailed(f"{self.url}: the list of garbage collections is not a list")
        return tuple(map(self._run, found))

    def _run(self, entry: Any) -> Run:
        try:
            parameters = json.loads(entry.get("job_parameters") or "{}")
            return Run(int(entry["id"]), str(entry["job_status"]), parameters.get("dry_run") is True)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise ToolFailed(f"{self.url}: an unknown form of garbage collection") from None

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        retrying = Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential(multiplier=0.5, max=5),
            retry=retry_if_exception_type(_Passing),
            reraise=True,
        )
        try:
            # All of these may be repeated: they ask, or set a mode to what it then is.
            return retrying(self._once, method, path, body)
        except _Passing as error:
            hint = "see that Harbor runs, and url and ca_file in [harbor]"
            raise ToolFailed(f"{method} {self._address(path)}: {error}", hint=hint) from None

    def _once(self, method: str, path: str, body: object) -> Any:
        login = httpx.BasicAuth(self.user, self.password)
        try:
            # No .netrc and no proxy of the environment: the password goes to this address alone.
            with httpx.Client(verify=self._trust(), auth=login, timeout=_SECONDS, trust_env=False) as client:
                # The time limit starts anew with each byte.
                answer = within(2 * _SECONDS, lambda: client.request(method, self._address(path), json=body))
        except TimeoutError as error:
            raise _Passing(str(error)) from None
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            if "CERTIFICATE_VERIFY_FAILED" in said:
                raise ToolFailed(
                    f"{method} {self._address(path)}: {said}", hint="see ca_file in [harbor]"
                ) from None
            raise _Passing(said) from None
        if answer.status_code >= 500:
            raise _Passing(f"{answer.status_code} {answer.reason_phrase}")
        return self._read(method, path, answer)

    def _read(self, method: str, path: str, answer: httpx.Response) -> Any:
        said = f"{answer.status_code} {answer.reason_phrase}"
        if answer.status_code in (401, 403):
            raise ConfigError(
                f"Harbor at {self.url} refuses {self.user}: {method} {path.partition('?')[0]}, {said}",
                hint="see user and password_file in [harbor]; read-only mode needs a system administrator",
            )
        if answer.status_code != 200:
            where = f", and points to {answer.headers['location']}" if answer.has_redirect_location else ""
            raise ToolFailed(f"{method} {self._address(path)}: {said}{where}", hint="see url in [harbor]")
        if len(answer.content) > _LARGEST:
            raise ToolFailed(f"{method} {self._address(path)}: the answer is too long")
        try:
            return answer.json() if answer.content else {}
        except ValueError:
            raise ToolFailed(
                f"{method} {self._address(path)}: the answer is not JSON", hint="see url in [harbor]"
            ) from None

    def _address(self, path: str) -> str:
        return f"{self.url.rstrip('/')}/api/v2.0/{path}"

    def _trust(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"cannot read certificates from {self.ca_file}: {error}", hint="see ca_file in [harbor]"
            ) from None
