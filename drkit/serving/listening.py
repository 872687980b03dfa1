"""Where a registry listens, who may ask it, and with which certificate."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from drkit.checks import pairs
from drkit.errors import ConfigError, UsageError
from drkit.logs import register_secret

_PORT = 5000


@dataclass(frozen=True)
class Address:
    """A host, as an address or `localhost`, and a port; 0 for any that is free."""

    host: str
    port: int

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Address:
    """`HOST`, `HOST:PORT`, `[IPV6]:PORT` or `:PORT`, which is every address; raises UsageError."""
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host, port = text, str(_PORT)
    bare = host.removeprefix("[").removesuffix("]") or "0.0.0.0"  # noqa: S104 - asked for
    with contextlib.suppress(ValueError):
        if bare != "localhost":
            ipaddress.ip_address(bare)
        if text and 0 <= int(port) < 1 << 16 and port.isascii():
            return Address(bare, int(port))
    raise UsageError(
        f'"{text}" is no address to listen on',
        hint="give an IP address and a port, as in --listen 127.0.0.1:5000 or --listen 0.0.0.0:5000",
    )


def password(address: Address, file: Path | None, *, anonymous: bool) -> tuple[str | None, bool]:
    """What clients must know, and whether it has been made up here; raises UsageError, ConfigError."""
    if anonymous:
        if file:
            raise UsageError("--anonymous needs no --password-file", hint="leave one out")
        return None, False
    if file:
        try:
            said = file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"cannot read the password file {file}: {error}", hint="see --password-file"
            ) from None
        if not said:
            raise ConfigError(f"the password file {file} is empty", hint="see --password-file")
        return register_secret(said), False
    if address.local:
        return None, False
    return secrets.token_urlsafe(18), True


def certificate(files: Mapping[str, bytes]) -> pairs.Pair:
    """The certificate that the registry itself has, with its key; raises ConfigError where none is there."""
    found = pairs.of_server(files)
    if found is None:
        raise ConfigError(
            "the secrets of this recovery point have no certificate of the registry with its key",
            hint="serve on this machine alone, with --listen 127.0.0.1:5000, behind a proxy that has TLS",
        )
    return found


def context(files: Mapping[str, bytes], pair: pairs.Pair) -> ssl.SSLContext:
    """TLS with that certificate; raises ConfigError where it cannot be used."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with _in_memory(files[pair.certificate]) as chain, _in_memory(files[pair.key]) as key:
            made.load_cert_chain(chain, key, password=lambda: b"")
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"the certificate {pair.certificate} and its key cannot be used: {error.strerror or error}",
            hint="run `drkit drill` to see what is wrong with them",
        ) from None
    return made


@contextlib.contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """A file that is on no disk: OpenSSL reads keys from files, and none may be on a disk in the clear."""
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
