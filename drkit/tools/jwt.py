"""JSON web tokens of a registry, as far as it matters whose signature they bear (RFC 7515, RS256)."""

from __future__ import annotations

import base64
import binascii

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


def signed_by(token: str, pem: bytes) -> bool:
    """Whether the key of a certificate, or a private key, has signed a token.

    Raises ValueError where the PEM is neither, is no RSA key, or the token is none.
    """
    public = _public(pem)
    signed, _, signature = token.rpartition(".")
    try:
        raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    except binascii.Error:
        raise ValueError("it is no token") from None
    if signed.count(".") != 1:
        raise ValueError("it is no token")
    try:
        public.verify(raw, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def new_key() -> bytes:
    """A fresh private key in PEM, for a control that holds a token against the wrong one."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public(pem: bytes) -> rsa.RSAPublicKey:
    if b"CERTIFICATE" in pem:
        found = x509.load_pem_x509_certificate(pem).public_key()
    else:
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError("it is no RSA key")
        found = key.public_key()
    if not isinstance(found, rsa.RSAPublicKey):
        raise ValueError("it is no RSA key")
    return found
