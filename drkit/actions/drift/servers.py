"""Whether two ways lead to one running PostgreSQL: by names, by addresses, by asking the servers."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence, Set
from dataclasses import dataclass

from drkit import config
from drkit.actions.drift import places
from drkit.database import locked
from drkit.errors import Failure
from drkit.harbor.installation import HarborDatabase
from drkit.tools.postgres import sessions
from drkit.tools.postgres.sessions import ServerIdentity
from drkit.tools.postgres.targets import Target

_HERE = frozenset({"this machine"})
# How Docker's containers call the machine that they run on.
_DOCKERS_HOST = ("host.docker.internal", "host-gateway")
_PATIENCE = 5


def addresses(host: str) -> Set[str]:
    """The addresses of a host; none where nobody knows it. A Unix socket is this machine's."""
    if not host or host.startswith(("/", "@")) or host in _DOCKERS_HOST:
        return _HERE
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()
    named = {str(address[0]) for *_, address in found}
    return _HERE if any(map(_is_here, named)) else frozenset(named)


def _is_here(address: str) -> bool:
    """What this machine sends to an address of its own comes from that address; nothing is sent."""
    if ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return True
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return False
        return bool(probe.getsockname()[0] == address)


@dataclass(frozen=True)
class Way:
    """How drkit reaches a [[database]], and by which name other containers reach it where it is in one."""

    target: Target
    container: str | None = None

    def leads_to(self, named: HarborDatabase) -> bool:
        """Whether it plainly leads to what harbor.yml names."""
        settings = self.target.settings
        by_name = {**settings, "host": self.container or settings.get("host", "")}
        return any(places.is_at(named, each, addresses) for each in (settings, by_name))


def way(entry: config.Database) -> Way | None:
    """How a [[database]] is reached; None where that cannot be found out, which is told elsewhere."""
    try:
        return Way(locked.target_of(entry), entry.container)
    except Failure:
        return None


def found_among(named: HarborDatabase, ways: Sequence[Way]) -> tuple[bool, str]:
    """Whether one of them leads to the database that harbor.yml names; if not, why that is not sure.

    A pooler, a second address or a standby is found out by asking both ends.
    """
    if any(each.leads_to(named) for each in ways):
        return True, ""
    if not ways:
        return False, ""
    try:
        wanted = sessions.identity(_as_harbor(named, ways), _PATIENCE)
    except Failure as error:
        return False, error.message
    known = [identity for each in ways if (identity := _identity(each.target))]
    return any(same(wanted, each) for each in known), "" if known else "no [[database]] answers"


def _as_harbor(named: HarborDatabase, ways: Sequence[Way]) -> Target:
    """How Harbor logs in; certificates as in the first dsn that has any, for harbor.yml names none."""
    tls = next((each.target.settings for each in ways if "sslmode" in each.target.settings), {})
    settings = {key: value for key, value in tls.items() if key.startswith("ssl")}
    settings.setdefault("sslmode", named.ssl_mode)
    settings |= {"host": named.host, "port": str(named.port), "user": named.user, "dbname": named.name}
    return Target(settings, named.password)


def _identity(one: Target) -> ServerIdentity | None:
    try:
        return sessions.identity(one, _PATIENCE)
    except Failure:
        return None


def same(one: ServerIdentity, other: ServerIdentity) -> bool:
    """Whether two answers are of one database: of one running server, or of a server and its standby.

    Two servers of one origin that both take writes have gone apart: a copy, or one that was promoted.
    """
    if (one.system, one.database) != (other.system, other.database):
        return False
    return one.started == other.started or one.standby or other.standby
