"""Certificates and private keys, by cryptography.

A chain is followed by names and signatures alone. The stricter profile of public authorities (RFC 5280 with
CA/Browser Forum rules) is not asked for: a registry's own CA often has none of its extensions, and its
clients trust it all the same.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import re
import ssl
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

CERTIFICATE_MARK = b"-----BEGIN CERTIFICATE-----"
KEY_MARKS = (
    b"-----BEGIN PRIVATE KEY-----",
    b"-----BEGIN RSA PRIVATE KEY-----",
    b"-----BEGIN EC PRIVATE KEY-----",
)
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")
_ENCRYPTED_MARK = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
# PKCS#1's own encryption, and what GnuTLS and OpenSSL write into the header of the block.
_ENCRYPTED_HEADER = b"Proc-Type: 4,ENCRYPTED"
# SHA-256 of a private key's file -> its public half; the private one is kept nowhere.
_public_halves: dict[bytes, bytes] = {}


@dataclass(frozen=True)
class Certificate:
    """One certificate; `public_key` is its key as DER, to compare with, `names` its DNS names and addresses.

    `authority` says whether it may issue others.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    authority: bool
    public_key: bytes
    parsed: x509.Certificate = field(repr=False)

    @functools.cached_property
    def self_signed(self) -> bool:
        """Whether it is its own issuer; of most authorities of a machine nobody asks that."""
        return self.parsed.subject == self.parsed.issuer and _signed_by(self.parsed, self.parsed)


class Unsupported(ValueError):
    """Whole, perhaps, and of a kind that cryptography does not read."""


def holds_certificate(data: bytes) -> bool:
    """Whether a file's bytes hold a PEM certificate."""
    return CERTIFICATE_MARK in data


def holds_key(data: bytes) -> bool:
    """Whether a file's bytes hold a PEM private key that needs no password."""
    return any(mark in data for mark in KEY_MARKS) and not holds_encrypted_key(data)


def holds_encrypted_key(data: bytes) -> bool:
    """Whether a file's bytes hold a PEM private key that needs a password."""
    return _ENCRYPTED_MARK in data or _ENCRYPTED_HEADER in data


def read_certificate(data: bytes) -> Certificate:
    """The first certificate in PEM bytes; raises ValueError."""
    return read_certificates(data)[0]


def read_certificates(data: bytes) -> tuple[Certificate, ...]:
    """Every certificate in PEM bytes, or the one in DER, in the file's order; raises ValueError."""
    if not holds_certificate(data):
        return (_load(data),)
    found = tuple(_load(block) for block in _PEM.findall(data))
    if len(found) != data.count(CERTIFICATE_MARK):
        raise ValueError("a certificate is cut short")
    return found


def _load(data: bytes) -> Certificate:
    """One certificate in PEM or DER; raises ValueError."""
    try:
        with warnings.catch_warnings():
            # Of certificates that break a rule which nobody enforces, such as one on serial numbers.
            warnings.simplefilter("ignore")
            if holds_certificate(data):
                return _certificate(x509.load_pem_x509_certificate(data))
            return _certificate(x509.load_der_x509_certificate(data))
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from None


def _certificate(found: x509.Certificate) -> Certificate:
    return Certificate(
        subject=found.subject.rfc4514_string(),
        issuer=found.issuer.rfc4514_string(),
        names=_names(found),
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
        authority=_is_authority(found),
        public_key=found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        parsed=found,
    )


def _names(found: x509.Certificate) -> tuple[str, ...]:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = names.get_values_for_type(x509.IPAddress)
    return (*names.get_values_for_type(x509.DNSName), *map(str, addresses))


def _is_authority(found: x509.Certificate) -> bool:
    try:
        return found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        # Version 1 knows no extensions: there, whoever signs itself is an authority.
        return found.version is x509.Version.v1 and found.subject == found.issuer


def issued_by(certificate: Certificate, issuer: Certificate) -> bool:
    """Whether the issuer's key signed the certificate, and its name stands in it."""
    return certificate.parsed.issuer == issuer.parsed.subject and _signed_by(
        certificate.parsed, issuer.parsed
    )


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def named_issuers(certificate: Certificate, pool: Iterable[Certificate]) -> list[Certificate]:
    """Those whose name the certificate gives as its issuer, whether or not they signed it."""
    return [each for each in pool if each.parsed.subject == certificate.parsed.issuer]


def covers(certificate: Certificate, host: str) -> bool:
    """Whether a client that asks for this host accepts the certificate's names (RFC 9525).

    A wildcard stands for one label, the leftmost. The subject's common name does not count: no client of
    today looks at it, Docker included.
    """
    wanted = host.strip("[]").rstrip(".").lower()
    try:
        return str(ipaddress.ip_address(wanted)) in certificate.names
    except ValueError:
        pass
    parent = wanted.partition(".")[2]
    return any(name.lower() in (wanted, f"*.{parent}" if parent else wanted) for name in certificate.names)


@functools.lru_cache(maxsize=1)
def system_authorities() -> tuple[Certificate, ...]:
    """The certificates that this machine trusts: the file that OpenSSL reads, or none."""
    name = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    try:
        blocks = _PEM.findall(Path(name).read_bytes())
    except OSError:
        return ()
    found = []
    for block in blocks:
        try:
            found.append(_load(block))
        except ValueError:
            # An authority of an older standard that cryptography does not read issues nothing of ours.
            continue
    return tuple(found)


def chain_of(certificates: Sequence[Certificate]) -> tuple[Certificate, ...]:
    """The first certificate of a file and those after it for as long as each issued the one before."""
    chain = list(certificates[:1])
    for each in certificates[1:]:
        if not issued_by(chain[-1], each):
            break
        chain.append(each)
    return tuple(chain)


def public_half(data: bytes) -> bytes:
    """The public key (DER) of a private key in PEM or DER; raises ValueError, also as Unsupported.

    OpenSSL proves an RSA key's primes first, a fifth of a second for 4096 bits: of each key, once is enough.
    """
    known = hashlib.sha256(data).digest()
    if known not in _public_halves:
        _public_halves[known] = _public_half(data)
    return _public_halves[known]


def _public_half(data: bytes) -> bytes:
    try:
        load = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key
        key = load(data, password=None)
    except UnsupportedAlgorithm as error:
        raise Unsupported(str(error)) from None
    except TypeError as error:
        raise ValueError(str(error)) from None
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def new_key() -> bytes:
    """A fresh private key in PEM, for a control that plants the wrong one."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def forge(issuer: Certificate, now: datetime) -> bytes:
    """A certificate in PEM that names the issuer and that another key signed, for a control."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(
        issuer_name=issuer.parsed.subject,
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "forged")]),
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - timedelta(days=1),
        not_valid_after=now + timedelta(days=1),
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def as_pem(certificate: Certificate) -> bytes:
    """The certificate's own bytes in PEM."""
    return certificate.parsed.public_bytes(Encoding.PEM)
