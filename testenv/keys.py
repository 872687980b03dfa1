"""The secrets that are files: secret key, token key, TLS certificates, a cosign key pair."""

from __future__ import annotations

import datetime
import os
import shutil
import string
import subprocess
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

HOSTNAME = "registry.example.test"
ALPHANUMERIC = string.ascii_letters + string.digits


def token(random: Random, length: int = 20) -> str:
    """A secret that a search cannot miss: letters and digits only."""
    return "".join(random.choices(ALPHANUMERIC, k=length))


def make(
    root: Path, data: Path, *, secret_key: str, cosign_password: str, token_key_bits: int
) -> dict[str, str]:
    """Write all of them below `root`; returns the lines of private keys by name, for a search for leaks."""
    planted = certificates(root, data)
    planted |= _token_key(data, token_key_bits)
    planted |= _cosign_pair(root, cosign_password)
    write(data / "secret/keys/secretkey", secret_key.encode(), secret=True)
    return planted


def write(path: Path, content: bytes, *, secret: bool = False) -> None:
    """Write a file and the directories above it; a secret one is for its owner only from the start."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if secret else 0o644)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


def sign_certificate(root: Path, *, days: float) -> bytes:
    """A new certificate chain for tls/server.key from the site's CA, valid for so many days from now."""
    authority = x509.load_pem_x509_certificate((root / "tls/ca.crt").read_bytes())
    authority_key = serialization.load_pem_private_key((root / "ca/ca.key").read_bytes(), None)
    key = serialization.load_pem_private_key((root / "tls/server.key").read_bytes(), None)
    assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
    assert isinstance(key, rsa.RSAPrivateKey)
    names = x509.SubjectAlternativeName(
        [x509.DNSName(HOSTNAME), x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    )
    builder = _builder(HOSTNAME, authority.subject, key, days).add_extension(names, critical=False)
    certificate = builder.sign(authority_key, hashes.SHA256())
    return _pem(certificate) + _pem(authority)


def new_rsa_key() -> bytes:
    """A private key of its own, in PEM."""
    return _private_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def certificates(root: Path, data: Path) -> dict[str, str]:
    """A CA of the site's own (tls/ca.crt) and what it signed for 127.0.0.1 (tls/server.crt and .key)."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = _name("Example Test CA")
    builder = _builder("Example Test CA", name, authority_key, 3650).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    authority = _pem(builder.sign(authority_key, hashes.SHA256()))
    # The key of the CA is no part of the registry: a real site keeps it elsewhere.
    write(root / "ca/ca.key", _private_pem(authority_key), secret=True)
    write(root / "tls/ca.crt", authority)
    write(root / "tls/server.key", _private_pem(key), secret=True)
    chain = sign_certificate(root, days=365)
    write(root / "tls/server.crt", chain)
    write(data / "secret/cert/server.crt", chain)
    write(data / "secret/cert/server.key", _private_pem(key), secret=True)
    write(data / "ca_download/ca.crt", authority)
    return private_lines("TLS key", _private_pem(key))


def _token_key(data: Path, bits: int) -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    content = _private_pem(key, serialization.PrivateFormat.TraditionalOpenSSL)
    write(data / "secret/core/private_key.pem", content, secret=True)
    certificate = _builder("Harbor token", _name("Harbor token"), key, 3650).sign(key, hashes.SHA256())
    write(data / "secret/registry/root.crt", _pem(certificate))
    return private_lines("token key", content)


def _cosign_pair(root: Path, password: str) -> dict[str, str]:
    directory = root / "cosign"
    directory.mkdir()
    subprocess.run(
        [shutil.which("cosign") or "cosign", "generate-key-pair"],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin", "HOME": str(directory), "COSIGN_PASSWORD": password},
        check=True,
        capture_output=True,
    )
    (directory / "cosign.key").chmod(0o600)
    write(directory / "cosign.password", password.encode(), secret=True)
    return private_lines("cosign key", (directory / "cosign.key").read_bytes())


def private_lines(name: str, pem: bytes) -> dict[str, str]:
    """The full lines of the second half: in the first is an RSA key's modulus, which is no secret."""
    lines = [line for line in pem.decode().splitlines() if line and not line.startswith("-----")]
    half = [line for line in lines[len(lines) // 2 :] if len(line) >= 60]
    return {f"{name}, line {number}": line for number, line in enumerate(half, 1)}


def _builder(common_name: str, issuer: x509.Name, key: PrivateKey, days: float) -> x509.CertificateBuilder:
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=30)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=30 + days))
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private_pem(
    key: PrivateKey, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8
) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
