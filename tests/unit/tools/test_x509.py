"""Certificates and keys: whether the two belong together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from drkit.tools.x509 import holds_certificate, holds_key, new_key, public_half, read_certificate

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(key: Key, subject: str = "registry.example.com") -> bytes:
    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("a CA"))
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=90))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def pem(key: Key, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def elliptic() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def test_what_a_certificate_says() -> None:
    found = read_certificate(certificate(elliptic()))
    assert (found.subject, found.issuer) == ("CN=registry.example.com", "CN=a CA")
    assert found.not_after == NOW + timedelta(days=90)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_pair_is_a_pair(rsa_key: rsa.RSAPrivateKey, form: PrivateFormat) -> None:
    """Harbor's own token key is PKCS#1, most others PKCS#8."""
    for key in (rsa_key, elliptic()):
        assert holds_key(pem(key, form))
        assert read_certificate(certificate(key)).public_key == public_half(pem(key, form))


def test_a_strangers_key_is_none() -> None:
    assert public_half(pem(elliptic())) != read_certificate(certificate(elliptic())).public_key


def test_the_first_of_a_chain_counts_and_words_before_it_do_not() -> None:
    leaf, issuer = elliptic(), elliptic()
    chain = b"subject=CN = leaf\n" + certificate(leaf, "leaf") + certificate(issuer, "issuer")
    assert holds_certificate(chain)
    assert read_certificate(chain).subject == "CN=leaf"


def test_a_file_with_both() -> None:
    key = elliptic()
    both = pem(key) + certificate(key)
    assert holds_key(both)
    assert read_certificate(both).public_key == public_half(both)


def test_a_new_key_is_new() -> None:
    first, second = new_key(), new_key()
    assert holds_key(first)
    assert public_half(first) != public_half(second)


def test_a_key_that_needs_a_password(rsa_key: rsa.RSAPrivateKey) -> None:
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        data = rsa_key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"word"))
        assert not holds_key(data)
        with pytest.raises(ValueError, match="assword"):
            public_half(data)


@pytest.mark.parametrize("data", [b"", b"\x00\xff", b"-----BEGIN PUBLIC KEY-----\n"])
def test_what_is_neither(data: bytes) -> None:
    assert not holds_certificate(data)
    assert not holds_key(data)
    with pytest.raises(ValueError, match=r"."):
        read_certificate(data)
    with pytest.raises(ValueError, match=r"."):
        public_half(data)


def test_what_only_looks_like_one() -> None:
    cut = certificate(elliptic())[:200]
    with pytest.raises(ValueError, match=r"."):
        read_certificate(cut)
    with pytest.raises(ValueError, match=r"."):
        public_half(pem(elliptic())[:100])
