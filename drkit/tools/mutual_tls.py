"""TLS between drkit and a server that it starts itself: both show a certificate made for this one time."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drkit.model import utc_now

_HOST = "127.0.0.1"
# The longest drill is over before; a clock that is set back while it runs does no harm.
_BEFORE, _AFTER = datetime.timedelta(days=2), datetime.timedelta(days=60)


@dataclass(frozen=True)
class MutualTls:
    """The server's files, the authority that its clients' certificates must come from, and the client's end.

    `user` is the common name that the client shows.
    """

    certificate: Path
    key: Path
    authority: Path
    user: str
    client: ssl.SSLContext


def make(directory: Path, user: str) -> MutualTls:
    """Make everything in a directory that nobody else may look into; raises OSError."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    name = _name("a drill's authority")
    constraint = x509.BasicConstraints(ca=True, path_length=None)
    authority = _certificate(name, name, authority_key, authority_key.public_key(), [constraint])
    host = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(_HOST))])
    made = MutualTls(
        directory / "server.crt",
        directory / "server.key",
        directory / "authority.crt",
        user,
        ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cadata=_pem(authority).decode()),
    )
    server_key = ec.generate_private_key(ec.SECP256R1())
    server = _certificate(name, _name(_HOST), authority_key, server_key.public_key(), [host])
    made.authority.write_bytes(_pem(authority))
    made.certificate.write_bytes(_pem(server))
    _write_key(made.key, server_key)
    client_key = ec.generate_private_key(ec.SECP256R1())
    shown = _certificate(name, _name(user), authority_key, client_key.public_key(), [])
    own = directory / "client.pem"
    _write_key(own, client_key, _pem(shown))
    # Python loads a key from a file alone.
    made.client.load_cert_chain(own)
    own.unlink()
    return made


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    issuer: x509.Name,
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    public: ec.EllipticCurvePublicKey,
    extensions: Sequence[x509.ExtensionType],
) -> x509.Certificate:
    now = utc_now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _AFTER)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey, more: bytes = b"") -> None:
    path.touch(mode=0o600)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(pem + more)
