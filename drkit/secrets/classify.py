"""What each file of the secrets bundle is, by its content and, where that says nothing, by its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from drkit.tools import ssh, x509
from drkit.tools.x509 import Certificate

SECRET_KEY = "secret key"
TOKEN_KEY = "token key"
TOKEN_CERTIFICATE = "token certificate"
HARBOR_YML = "harbor.yml"
CERTIFICATE = "certificate"
AUTHORITY = "CA certificate"
TRUST_STORE = "trusted CA certificates"
PRIVATE_KEY = "private key"
ENCRYPTED_KEY = "private key, encrypted"
BOTH = "certificate and private key"
BOTH_ENCRYPTED = "certificate and private key, encrypted"
PUBLIC_KEY = "public key"
COSIGN_KEY = "cosign private key, encrypted"
COSIGN_PASSWORD = "cosign password"
GPG_KEY = "GPG private key"
SSH_KEY, SSH_KEY_ENCRYPTED = "SSH private key", "SSH private key, encrypted"
OTHER = "file"

# Below Harbor's data volume (see the table of its prepare script).
PLACES = {
    "secret/keys/secretkey": SECRET_KEY,
    "secret/core/private_key.pem": TOKEN_KEY,
    "secret/registry/root.crt": TOKEN_CERTIFICATE,
}
_CERTIFICATES = frozenset((CERTIFICATE, AUTHORITY, BOTH, BOTH_ENCRYPTED, TOKEN_CERTIFICATE))
REQUEST = "certificate request"
# What says that it has to do with certificates, whether or not they can be read.
ABOUT_CERTIFICATES = _CERTIFICATES | {TRUST_STORE, REQUEST}
PKCS12, JAVA = "PKCS#12 key store", "Java key store"
# Nothing in them is looked at: they open with a password.
KEY_STORES = frozenset((PKCS12, JAVA))
# What opens with a password alone, but for cosign's keys, whose passwords are looked for.
LOCKED = KEY_STORES | {ENCRYPTED_KEY, BOTH_ENCRYPTED, SSH_KEY_ENCRYPTED}

# What opens or signs something, and what Harbor's tokens need; one that is gone is missed. Not an age
# identity, which `doctor` wants out of the bundle.
KEYS = frozenset(
    (
        *(SECRET_KEY, TOKEN_KEY, TOKEN_CERTIFICATE, PRIVATE_KEY, ENCRYPTED_KEY, BOTH, BOTH_ENCRYPTED),
        *(COSIGN_KEY, GPG_KEY, SSH_KEY, SSH_KEY_ENCRYPTED, PKCS12, JAVA),
    )
)

# A mark stands near the beginning; what is larger is no key.
_LOOKED_AT = 1 << 20

# Mark in the content -> what it is; the first that fits.
_MARKS: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), what)
    for pattern, what in (
        (rb"^-----BEGIN ENCRYPTED (SIGSTORE|COSIGN) PRIVATE KEY-----", COSIGN_KEY),
        (rb"^-----BEGIN PGP PRIVATE KEY BLOCK-----", GPG_KEY),
        (rb"^-----BEGIN PGP PUBLIC KEY BLOCK-----", "GPG public key"),
        (rb"^-----BEGIN (RSA |EC )?PUBLIC KEY-----", PUBLIC_KEY),
        (rb"^-----BEGIN (NEW )?CERTIFICATE REQUEST-----", REQUEST),
        (rb"^-----BEGIN X509 CRL-----", "revocation list"),
        (rb"^-----BEGIN DH PARAMETERS-----", "DH parameters"),
        (rb"^AGE-SECRET-KEY-", "age identity"),
        (rb"\A(ssh-(ed25519|rsa|dss)|ecdsa-sha2-\S+|sk-\S+) AAAA", "SSH public key"),
        (rb"^[ \t]*\[Interface\][^\[]*^[ \t]*PrivateKey[ \t]*=", "WireGuard configuration"),
        (rb'"type"\s*:\s*"service_account"', "Google service account key"),
        (rb"\A\xfe\xed\xfe\xed", JAVA),
    )
)
# The end of the path -> what it is, where the content is binary or might be anybody's.
_ENDINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (r"/private-keys-v1\.d/[0-9A-F]{40}\.key$", GPG_KEY),
        (r"/(pubring\.(kbx|gpg)|trustdb\.gpg)$", "GPG keyring"),
        (r"\.(p12|pfx)$", PKCS12),
        (r"/signingkeys\.json$", "Notation key list"),
        (r"/trustpolicy(\.oci)?\.json$", "Notation trust policy"),
        (r"/docker-compose\.ya?ml$", "docker-compose.yml"),
        (r"/nginx(/.*)?\.conf$|/nginx/.*\.conf$", "nginx configuration"),
        (r"\.ya?ml$", "YAML"),
    )
)


def what_is(path: str, data: bytes, *, cosign_password: str | None = None) -> str:
    """What a file is, in a word or two; `file` where nobody can tell."""
    if path == cosign_password:
        return COSIGN_PASSWORD
    place = next((what for end, what in PLACES.items() if path.endswith("/" + end)), None)
    if place:
        return place
    if PurePosixPath(path).name == "harbor.yml":
        return HARBOR_YML
    return _by_content(path, data) or next((w for p, w in _ENDINGS if p.search(path)), OTHER)


def _by_content(path: str, data: bytes) -> str | None:
    if x509.holds_certificate(data):
        return _certificate(data)
    looks: tuple[Callable[[], str | None], ...] = (
        lambda: ENCRYPTED_KEY if x509.holds_encrypted_key(data) else None,
        lambda: PRIVATE_KEY if x509.holds_key(data) else None,
        lambda: _ssh_key(data),
        lambda: next((what for mark, what in _MARKS if mark.search(data[:_LOOKED_AT])), None),
        lambda: _der(path, data),
    )
    return next((found for look in looks if (found := look())), None)


def _certificate(data: bytes) -> str:
    if x509.holds_encrypted_key(data):
        return BOTH_ENCRYPTED
    if x509.holds_key(data):
        return BOTH
    try:
        found = x509.read_certificates(data)
    except ValueError:
        return CERTIFICATE
    if not found[0].authority:
        return CERTIFICATE
    return AUTHORITY if len(x509.chain_of(found)) == len(found) else TRUST_STORE


def _ssh_key(data: bytes) -> str | None:
    if ssh.MARK not in data:
        return None
    return SSH_KEY_ENCRYPTED if ssh.is_encrypted(data) else SSH_KEY


def _der(path: str, data: bytes) -> str | None:
    if not path.endswith((".crt", ".cer", ".der", ".pem")) or data[:1] != b"\x30":
        return None
    try:
        return AUTHORITY if x509.read_certificate(data).authority else CERTIFICATE
    except ValueError:
        return None


def certificates_in(what: str, data: bytes) -> Sequence[Certificate]:
    """The certificates of a file whose validity matters: of a store of trusted ones, none does.

    Raises ValueError where they cannot be read.
    """
    return x509.read_certificates(data) if what in _CERTIFICATES else ()
