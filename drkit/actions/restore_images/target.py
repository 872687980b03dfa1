"""Where images go: a registry, or a directory in OCI's layout; and as whom."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from drkit import config
from drkit.errors import ConfigError, UsageError
from drkit.harbor.installation import read_installation
from drkit.logs import register_secret
from drkit.tools.harbor_api import read_password
from drkit.tools.oci_layout import Body, OciLayout
from drkit.tools.registry_http.client import Address, Registry
from drkit.tools.registry_http.login import Account, read_account

# Streams of blobs at once, and a few connections more for questions.
STREAMS = 6
_LAYOUT = "oci:"


class Target(Protocol):
    """What can be asked and told of where images go; every method raises DrkitError."""

    where: str

    def look(self) -> None:
        """See that it is there, and lets us in."""

    def manifest(self, repository: str, reference: str, /) -> str | None:
        """The digest of what a repository has under a tag or digest, or None."""

    def has_blob(self, repository: str, digest: str, /) -> bool:
        """Whether a repository has a blob."""

    def mount(self, repository: str, digest: str, source: str, /) -> bool:
        """Let a repository have a blob that another has; returns whether it did."""

    def push_blob(self, repository: str, digest: str, size: int, body: Body, /) -> None:
        """Send a blob; `body` may be called again."""

    def push_manifest(self, repository: str, digest: str, kind: str, data: bytes, /) -> None:
        """Send a manifest."""

    def lacks_referrers(
        self, repository: str, subject: str, described: Sequence[Mapping[str, Any]], /
    ) -> bool:
        """Whether the list of what refers to a manifest has to be completed with one of these."""

    def list_referrers(
        self, repository: str, subject: str, described: Sequence[Mapping[str, Any]], /
    ) -> None:
        """Complete that list; what else it names, and the registry has, stays in it."""

    def name(self, repository: str, tag: str, digest: str, kind: str, data: bytes, /) -> None:
        """Let a tag mean a manifest that was sent; `tag` may be empty."""


@dataclass(frozen=True)
class Destination:
    """A registry's address with the account, or the directory of a layout."""

    where: str
    address: Address | None = None
    account: Account | None = None
    layout: Path | None = None


def find(
    settings: config.Config, to: str | None, credentials: Path | None, ca_file: Path | None
) -> Destination:
    """Where images go: to what the command line names, else to the site's own registry.

    Raises ConfigError, UsageError.
    """
    if to is not None and to.startswith(_LAYOUT):
        if credentials or ca_file:
            raise UsageError("a directory needs no --credentials and no --ca-file", hint="leave them out")
        directory = Path(to.removeprefix(_LAYOUT)).absolute()
        return Destination(f"{_LAYOUT}{directory}", layout=directory)
    own = _own(settings)
    url = _url(to) if to is not None else own
    if url is None:
        raise ConfigError(
            "nobody says where the registry is",
            hint="give --to https://registry.example.com, or write url into [registry]",
        )
    registry = settings.registry
    ours = own is not None and _server(own) == _server(url)
    if ours and registry:
        credentials, ca_file = credentials or registry.credentials_file, ca_file or registry.ca_file
    account = read_account(credentials) if credentials else None
    harbor = settings.harbor
    if harbor and harbor.url and _server(harbor.url) == _server(url):
        ca_file = ca_file or harbor.ca_file
        if account is None and harbor.user and harbor.password_file:
            account = Account(harbor.user, register_secret(read_password(harbor.password_file)))
    return Destination(url, Address(url, ca_file), account)


@contextlib.contextmanager
def opened(destination: Destination, *, look_only: bool = False) -> Iterator[Target]:
    """The target, to be asked and told until the block ends."""
    if destination.layout is not None:
        with OciLayout(destination.layout, look_only=look_only) as layout:
            yield layout
        return
    assert destination.address is not None
    with Registry(destination.address, destination.account, STREAMS + 2) as registry:
        registry.look()
        yield registry


def _own(settings: config.Config) -> str | None:
    """The address of the site's own registry, by the configuration or by harbor.yml."""
    if settings.registry:
        return settings.registry.url.rstrip("/")
    if settings.harbor and settings.harbor.url:
        return settings.harbor.url.rstrip("/")
    for path in settings.secrets.paths:
        if path.name == "harbor.yml" and path.is_file():
            return read_installation(path).url.rstrip("/")
    return None


def _url(to: str) -> str:
    """The address that somebody has typed, by HTTPS unless it says otherwise."""
    url = to if "://" in to else f"https://{to}"
    split = urlsplit(url)
    if split.scheme not in ("http", "https") or not split.hostname or split.path.strip("/") or split.query:
        raise UsageError(
            f'"{to}" is no address of a registry',
            hint="give --to https://HOST[:PORT], --to http://HOST:PORT or --to oci:DIRECTORY",
        )
    if split.username or split.password:
        raise UsageError("an address has no user and password in it", hint="give --credentials FILE")
    return f"{split.scheme}://{split.netloc}"


def _server(url: str) -> tuple[str, str | None, int | None]:
    """Which server it is, and by which protocol: what goes to one by HTTPS goes nowhere in the clear."""
    split = urlsplit(url)
    return split.scheme, split.hostname, split.port or (443 if split.scheme == "https" else 80)
