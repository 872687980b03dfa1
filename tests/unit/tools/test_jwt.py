"""Whose signature a token bears."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from drkit.tools import jwt, x509

KEY = jwt.new_key()


def token(key: bytes) -> str:
    loaded = serialization.load_pem_private_key(key, None)
    assert isinstance(loaded, rsa.RSAPrivateKey)
    signed = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0"
    signature = loaded.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_the_key_that_signed() -> None:
    assert jwt.signed_by(token(KEY), KEY)


def test_another_key() -> None:
    assert not jwt.signed_by(token(KEY), jwt.new_key())


def test_an_altered_token() -> None:
    head, body, signature = token(KEY).split(".")
    assert not jwt.signed_by(f"{head}.{body[:-1]}A.{signature}", KEY)


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c.d"])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(ValueError, match="no token"):
        jwt.signed_by(text, KEY)


def test_a_key_of_another_kind() -> None:
    with pytest.raises(ValueError, match="no RSA key"):
        jwt.signed_by(token(KEY), x509.new_key())
