"""Asking a registry what it has, and pushing blobs and manifests to it, by httpx."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from drkit.errors import ConfigError, RegistryUnreachable, ToolFailed
from drkit.tools.process import stopping
from drkit.tools.registry import MANIFEST_TYPES
from drkit.tools.registry_http import referrers, refusals
from drkit.tools.registry_http.login import Account, Login

log = logging.getLogger(__name__)

Body = Callable[[], Iterator[bytes]]
_CONNECT_SECONDS = 15.0
# A registry may copy a blob in its bucket before it answers.
_READ_SECONDS = 600.0
_ATTEMPTS = 3
_PAUSE_SECONDS = 1.0
# httpx copies what is left of a piece after each part that the socket takes: small ones, then.
_PIECE = 256 << 10
_ACCEPT = {"Accept": ", ".join((*MANIFEST_TYPES, "*/*"))}


class _Lost(Exception):
    """The connection ended, or the registry does not work at this moment; asked again it may."""


@dataclass(frozen=True)
class Address:
    """Where a registry is: `https://registry.example.com`, and the CA certificates to verify it with."""

    url: str
    ca_file: Path | None = None

    @property
    def place(self) -> str:
        """Host and port, as in the name of an image."""
        return urlsplit(self.url).netloc


class Registry:
    """A registry, for several threads at once.

    Raises RegistryUnreachable, RegistryRefused, and ConfigError for a login or certificate that does not do.
    What is asked or sent may be repeated, and is, where a connection is lost, after `pause` seconds and more.
    """

    def __init__(
        self, address: Address, account: Account | None, connections: int, pause: float = _PAUSE_SECONDS
    ) -> None:
        self.where = address.url
        self._account = account
        self._pause = pause
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS, pool=None)
        # No .netrc and no proxy of the environment: the password goes to this address alone.
        self._client = httpx.Client(
            base_url=address.url, verify=_trust(address), limits=limits, timeout=timeout, trust_env=False
        )
        self._login = Login(account, self._ask_for_token, address.url.startswith("https://"))

    def __enter__(self) -> Registry:
        # Interrupted, what threads wait for is ended.
        self._ended = stopping.ended_by(lambda _grace: self._client.close())
        self._ended.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.__exit__(kind, error, trace)
        self._client.close()

    def look(self) -> None:
        """See that a registry is there, and lets us in."""
        answer = self._ask("GET", "/v2/", "")
        if answer.status_code in (401, 403):
            raise refusals.wrong_login(self.where, self._user, answer.status_code)
        if answer.status_code != 200:
            raise RegistryUnreachable(
                f"there is no registry at {self.where}: /v2/ answers {answer.status_code}",
                hint="name its address with --to https://HOST[:PORT]",
            )

    @property
    def _user(self) -> str | None:
        return self._account.user if self._account else None

    def manifest(self, repository: str, reference: str) -> str | None:
        """The digest of what a repository has under a tag or digest, or None."""
        answer = self._ask(
            "HEAD", f"/v2/{repository}/manifests/{reference}", _pull(repository), headers=_ACCEPT
        )
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise refusals.refusal(
                f"to say whether it has {repository}:{reference}", repository, answer.status_code, b""
            )
        if ":" in reference:
            return reference
        found = answer.headers.get("Docker-Content-Digest")
        if not found:
            raise ToolFailed(f"{self.where} does not say which image {repository}:{reference} is")
        return str(found)

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether a repository has a blob."""
        answer = self._ask("HEAD", f"/v2/{repository}/blobs/{digest}", _pull(repository), follow=True)
        if answer.status_code not in (200, 404):
            raise refusals.refusal(
                f"to say whether {repository} has {digest}", repository, answer.status_code, b""
            )
        return answer.status_code == 200

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Let a repository have a blob that another of the registry has; returns whether it did."""
        scope = f"{_push(repository)} {_pull(source, alone=True)}"
        query = {"mount": digest, "from": source}
        try:
            answer = self._ask("POST", f"/v2/{repository}/blobs/uploads/", scope, params=query)
        except ConfigError:
            # Some token services give nothing at all to who may not read the other repository.
            return False
        if answer.status_code == 202:
            # It began an upload instead.
            self._cancel(repository, answer)
        return answer.status_code == 201

    def push_blob(self, repository: str, digest: str, size: int, body: Body) -> None:
        """Send a blob in one piece; `body` may be called again where that did not work."""

        def once() -> None:
            scope = _push(repository)
            begun = self._ask("POST", f"/v2/{repository}/blobs/uploads/", scope, once=True)
            if begun.status_code != 202:
                raise self._refused(f"an upload to {repository}", repository, begun)
            where = httpx.URL(self._location(begun)).copy_merge_params({"digest": digest})
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
            try:
                answer = self._ask("PUT", where, scope, headers=headers, content=body, once=True)
            except BaseException:
                self._cancel(repository, begun)
                raise
            if answer.status_code == 401:
                # The token ended on the way.
                raise _Lost("401")
            if answer.status_code != 201:
                raise self._refused(f"a layer of {repository}", repository, answer)

        self._repeated(once, f"{self.where} does not take {digest} in {repository}")

    def push_manifest(self, repository: str, digest: str, kind: str, data: bytes) -> None:
        """Send a manifest, under its digest."""
        self._put_manifest(repository, digest, digest, kind, data)

    def name(self, repository: str, tag: str, digest: str, kind: str, data: bytes) -> None:
        """Let a tag mean a manifest; without a `tag` there is nothing to do."""
        if tag:
            self._put_manifest(repository, tag, digest, kind, data)

    def lacks_referrers(self, repository: str, subject: str, described: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the list of what refers to a manifest lacks one of these: never, if the registry keeps it.

        One that does not keep it has no such address (distribution specification, "Unavailable Referrers
        API"): there it is an index under the tag `sha256-<digest>`, which clients write.
        """
        answer = self._ask("GET", f"/v2/{repository}/referrers/{subject}", _pull(repository), headers=_ACCEPT)
        if answer.status_code == 200:
            return False
        return bool(referrers.missing(self._listed(repository, subject), described))

    def list_referrers(self, repository: str, subject: str, described: Sequence[Mapping[str, Any]]) -> None:
        """Complete that list; what else it names, and the registry has, stays in it."""
        found = self._listed(repository, subject)
        if not referrers.missing(found, described):
            return
        # distribution refuses a whole list for one entry that a garbage collection has removed.
        there = [each for each in found if self.manifest(repository, each["digest"]) is not None]
        data = referrers.completed(there, described)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self._put_manifest(repository, referrers.tag(subject), digest, referrers.INDEX, data)

    def _listed(self, repository: str, subject: str) -> list[dict[str, Any]]:
        path = f"/v2/{repository}/manifests/{referrers.tag(subject)}"
        answer = self._ask("GET", path, _pull(repository), headers=_ACCEPT)
        if answer.status_code == 404:
            return []
        if answer.status_code != 200:
            said = f"to show what refers to {repository}@{subject}"
            raise refusals.refusal(said, repository, answer.status_code, b"")
        return referrers.entries(answer.content, f"{repository}:{referrers.tag(subject)}")

    def _put_manifest(self, repository: str, reference: str, digest: str, kind: str, data: bytes) -> None:
        headers = {"Content-Type": kind, "Content-Length": str(len(data))}
        path = f"/v2/{repository}/manifests/{reference}"
        answer = self._ask("PUT", path, _push(repository), headers=headers, content=lambda: iter([data]))
        named = f"{repository}{'@' if ':' in reference else ':'}{reference}"
        if answer.status_code != 201:
            raise self._refused(named, repository, answer)
        if answer.headers.get("Docker-Content-Digest", digest) != digest:
            raise ToolFailed(f"{self.where} has made another image of {named}")

    def _refused(self, what: str, repository: str, answer: httpx.Response) -> Exception:
        return refusals.refusal(what, repository, answer.status_code, answer.content)

    def _location(self, answer: httpx.Response) -> str:
        found = answer.headers.get("Location", "")
        url = answer.request.url.join(found)
        if not found or (self._login.secure and url.scheme != "https"):
            raise ToolFailed(f"{self.where} names no place for an upload: {found!r}")
        return str(url)

    def _cancel(self, repository: str, begun: httpx.Response) -> None:
        """Take back an upload; what cannot be taken back the registry purges itself."""
        with contextlib.suppress(ToolFailed, ConfigError, _Lost):
            self._ask("DELETE", httpx.URL(self._location(begun)), _push(repository), once=True)

    def _ask(
        self,
        method: str,
        where: str | httpx.URL,
        scope: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        content: Body | None = None,
        follow: bool = False,
        once: bool = False,
    ) -> httpx.Response:
        """The answer to a request, logged in as the registry wants it."""

        def ask() -> httpx.Response:
            answer, sent = self._sent(method, where, scope, params, headers, content, follow)
            challenge = answer.headers.get("WWW-Authenticate", "")
            if answer.status_code == 401 and self._login.refused(challenge, sent, scope):
                answer, _ = self._sent(method, where, scope, params, headers, content, follow)
            return answer

        return ask() if once else self._repeated(ask, f"{self.where} fails at {method} {where}")

    def _sent(
        self,
        method: str,
        where: str | httpx.URL,
        scope: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        content: Body | None,
        follow: bool,
    ) -> tuple[httpx.Response, str | None]:
        stopping.stop_if_asked()
        # Uploads may lead to a storage service, which need not know who we are.
        login = self._login.header(scope) if self._is_own(where) else None
        all_headers = {**headers, **({"Authorization": login} if login else {})}
        try:
            answer = self._client.request(
                method, where, params=params, headers=all_headers, follow_redirects=follow,
                content=_pieces(content()) if content else None,
            )  # fmt: skip
        except (httpx.HTTPError, RuntimeError) as error:
            stopping.stop_if_asked()
            raise self._failed(error) from None
        if answer.status_code in (500, 502, 504):
            said = (str(answer.status_code), answer.reason_phrase, *refusals.said(answer.content))
            raise _Lost(", ".join(filter(None, said)))
        return answer, login

    def _is_own(self, where: str | httpx.URL) -> bool:
        url, base = self._client.base_url.join(where), self._client.base_url
        return (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port)

    def _failed(self, error: Exception) -> Exception:
        message = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in message:
            return ConfigError(
                f"the certificate of {self.where} cannot be verified: {message}",
                hint="name the CA's certificate with --ca-file FILE",
            )
        if isinstance(error, httpx.HTTPError):
            return _Lost(message)
        return error

    def _repeated(self, work: Callable[[], Any], what: str) -> Any:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return work()
            except _Lost as error:
                if attempt == _ATTEMPTS:
                    raise RegistryUnreachable(
                        f"{what}: {error}",
                        hint="see that the registry runs, and run it again: what it has is not sent again",
                    ) from None
                log.debug("%s: %s; trying again", what, error)
                time.sleep(self._pause * attempt)
        raise AssertionError

    def _ask_for_token(
        self, realm: str, query: Mapping[str, str | list[str]], headers: Mapping[str, str]
    ) -> tuple[int, Any]:
        def ask() -> httpx.Response:
            try:
                answer = self._client.get(realm, params=dict(query), headers=dict(headers))
            except httpx.HTTPError as error:
                raise self._failed(error) from None
            if answer.status_code >= 500:
                raise _Lost(f"{answer.status_code} {answer.reason_phrase}")
            return answer

        answer: httpx.Response = self._repeated(ask, f"{realm} gives no token")
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, None


def _pieces(content: Iterator[bytes]) -> Iterator[bytes]:
    for piece in content:
        stopping.stop_if_asked()
        for start in range(0, len(piece), _PIECE):
            yield piece[start : start + _PIECE]


def _pull(repository: str, *, alone: bool = False) -> str:
    """The scope for reading; with the one for writing there is one token for both."""
    return f"repository:{repository}:pull" if alone else _push(repository)


def _push(repository: str) -> str:
    return f"repository:{repository}:pull,push"


def _trust(address: Address) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(address.ca_file) if address.ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"cannot read certificates from {address.ca_file}: {error}", hint="see --ca-file"
        ) from None
