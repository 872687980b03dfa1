"""Harbor's core on a Unix socket: its API, its token service and the registry behind it, by httpx.

Every request stands alone: a session cookie that came back with a change would want a token against forged
requests (src/server/middleware/csrf).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from drkit.errors import CoreRefuses, ToolFailed
from drkit.logs import redact, register_secret
from drkit.tools.deadline import within

if TYPE_CHECKING:
    import httpx

_SECONDS = 60.0
_LARGEST = 16 << 20
_SHOWN = 200
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Login:
    """A user, or a robot by its full name, and the password."""

    name: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """What basic authentication sends."""
        return "Basic " + base64.b64encode(f"{self.name}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class Answer:
    """What came back: a status of any kind, headers (names in lower case), and all bytes."""

    asked: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def said(self) -> str:
        """For a person: what was asked, the status, and the beginning of what was said about it."""
        words = " ".join(self.body[:_SHOWN].decode("utf-8", "replace").split())
        return redact(f"{self.asked} answers {self.status}" + (f": {words}" if words else ""))

    def json(self) -> Any:
        """The body as JSON; raises CoreRefuses where it is none, or the status is no success."""
        self.require(200, 201)
        try:
            return json.loads(self.body)
        except ValueError:
            raise CoreRefuses(f"{self.asked}: the answer is not JSON") from None

    def require(self, *statuses: int) -> Answer:
        """The same; raises CoreRefuses for any other status."""
        if self.status not in statuses:
            raise CoreRefuses(self.said)
        return self


@dataclass(frozen=True)
class Core:
    """A core that listens, by way of a relay, at a socket; `host` is how a client would call it.

    Every method raises ToolFailed where nobody answers, CoreRefuses for an answer that was not wanted.
    """

    socket: Path
    host: str

    def ask(
        self,
        method: str,
        path: str,
        authorization: str | None = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = _NOTHING,
    ) -> Answer:
        """The answer to one request; `path` is from the root on, with its query."""
        asked = f"{method} {path.partition('?')[0]}"
        given = self._headers(authorization, headers)
        with self._reached(asked) as client:
            # The time limit of each byte is not one of the whole.
            answer = within(
                2 * _SECONDS,
                lambda: client.request(method, f"http://core{path}", content=body, headers=given),
            )
        if len(answer.content) > _LARGEST:
            raise ToolFailed(f"Harbor's core: {asked}: the answer is too long")
        return Answer(asked, answer.status_code, dict(answer.headers), answer.content)

    def hash(self, path: str, authorization: str) -> tuple[str, int]:
        """The digest and length of what is there, of any size."""
        found, length = hashlib.sha256(), 0
        headers = self._headers(authorization, _NOTHING)
        with (
            self._reached(f"GET {path}") as client,
            client.stream("GET", f"http://core{path}", headers=headers) as answer,
        ):
            if answer.status_code != 200:
                raise CoreRefuses(f"GET {path} answers {answer.status_code}")
            for piece in answer.iter_raw():
                found.update(piece)
                length += len(piece)
        return f"sha256:{found.hexdigest()}", length

    def _headers(self, authorization: str | None, more: Mapping[str, str]) -> dict[str, str]:
        login = {"Authorization": authorization} if authorization else {}
        return {"Host": self.host, "Accept-Encoding": "identity", **more, **login}

    @contextlib.contextmanager
    def _reached(self, asked: str) -> Iterator[httpx.Client]:
        import httpx

        transport = httpx.HTTPTransport(uds=str(self.socket))
        try:
            with httpx.Client(transport=transport, timeout=_SECONDS, trust_env=False) as client:
                yield client
        except TimeoutError as error:
            raise ToolFailed(f"Harbor's core: {asked}: {error}") from None
        except httpx.HTTPError as error:
            raise ToolFailed(f"Harbor's core: {asked}: {str(error) or type(error).__name__}") from None

    def api(self, path: str, login: Login) -> Any:
        """What the API says to a user, as JSON; raises ToolFailed for a refusal too."""
        return self.ask("GET", f"/api/v2.0/{path}", login.header).json()

    def count(self, path: str, login: Login) -> int:
        """How many a list of the API has in all (its header X-Total-Count)."""
        answer = self.ask("GET", f"/api/v2.0/{path}?page=1&page_size=1", login.header).require(200)
        try:
            return int(answer.headers["x-total-count"])
        except (KeyError, ValueError):
            raise CoreRefuses(f"{answer.asked} does not say how many there are") from None

    def token(self, repository: str, actions: str, login: Login) -> str:
        """A token of core's own service for a repository, as a client gets it after the first refusal."""
        refused = self.ask("GET", "/v2/").require(401)
        challenge = dict(_CHALLENGE.findall(refused.headers.get("www-authenticate", "")))
        # The realm is production's address, which is out of reach here; its path is core's.
        path = urlsplit(challenge.get("realm", "")).path
        if not path:
            raise CoreRefuses(f"{refused.asked} names no token service")
        query = urlencode(
            {"service": challenge.get("service", ""), "scope": f"repository:{repository}:{actions}"}
        )
        found = self.ask("GET", f"{path}?{query}", login.header).json()
        try:
            return register_secret(str(found.get("token") or found["access_token"]))
        except (AttributeError, KeyError):
            raise CoreRefuses(f"GET {path} gives no token") from None
