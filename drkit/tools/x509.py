"""Certificates and private keys, by cryptography."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

CERTIFICATE_MARK = b"-----BEGIN CERTIFICATE-----"
KEY_MARKS = (
    b"-----BEGIN PRIVATE KEY-----",
    b"-----BEGIN RSA PRIVATE KEY-----",
    b"-----BEGIN EC PRIVATE KEY-----",
)


@dataclass(frozen=True)
class Certificate:
    """The first certificate of a PEM file; `public_key` is its key as DER, to compare with."""

    subject: str
    issuer: str
    not_after: datetime
    public_key: bytes


def holds_certificate(data: bytes) -> bool:
    """Whether a file's bytes hold a PEM certificate."""
    return CERTIFICATE_MARK in data


def holds_key(data: bytes) -> bool:
    """Whether a file's bytes hold a PEM private key that needs no password."""
    return any(mark in data for mark in KEY_MARKS) and b"ENCRYPTED" not in data


def read_certificate(data: bytes) -> Certificate:
    """The first certificate in PEM bytes; raises ValueError."""
    start = data.index(CERTIFICATE_MARK)
    found = x509.load_pem_x509_certificate(data[start:])
    return Certificate(
        found.subject.rfc4514_string(),
        found.issuer.rfc4514_string(),
        found.not_valid_after_utc,
        found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    )


def public_half(data: bytes) -> bytes:
    """The public key (DER) of a PEM private key; raises ValueError."""
    try:
        key = load_pem_private_key(data, password=None)
    except (TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error)) from None
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def new_key() -> bytes:
    """A fresh private key in PEM, for a control that plants the wrong one."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
