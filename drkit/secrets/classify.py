"""What each file of the secrets bundle is, by its content and, where that says nothing, by its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from drkit.harbor import secretkey
from drkit.secrets.kinds import CERTIFICATES, SecretKind
from drkit.tools import ssh, x509
from drkit.tools.x509 import Certificate

# Below Harbor's data volume (see the table of its prepare script).
PLACES = {
    secretkey.PLACE: SecretKind.SECRET_KEY,
    "secret/core/private_key.pem": SecretKind.TOKEN_KEY,
    "secret/registry/root.crt": SecretKind.TOKEN_CERTIFICATE,
}
# A mark stands near the beginning; what is larger is no key.
_LOOKED_AT = 1 << 20

# Mark in the content -> what it is; the first that fits.
_MARKS: tuple[tuple[re.Pattern[bytes], SecretKind], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), what)
    for pattern, what in (
        (rb"^-----BEGIN ENCRYPTED (SIGSTORE|COSIGN) PRIVATE KEY-----", SecretKind.COSIGN_KEY),
        (rb"^-----BEGIN PGP PRIVATE KEY BLOCK-----", SecretKind.GPG_KEY),
        (rb"^-----BEGIN PGP PUBLIC KEY BLOCK-----", SecretKind.GPG_PUBLIC_KEY),
        (rb"^-----BEGIN (RSA |EC )?PUBLIC KEY-----", SecretKind.PUBLIC_KEY),
        (rb"^-----BEGIN (NEW )?CERTIFICATE REQUEST-----", SecretKind.REQUEST),
        (rb"^-----BEGIN X509 CRL-----", SecretKind.REVOCATIONS),
        (rb"^-----BEGIN DH PARAMETERS-----", SecretKind.DH_PARAMETERS),
        (rb"^AGE-SECRET-KEY-", SecretKind.AGE_IDENTITY),
        (rb"\A(ssh-(ed25519|rsa|dss)|ecdsa-sha2-\S+|sk-\S+) AAAA", SecretKind.SSH_PUBLIC_KEY),
        (rb"^[ \t]*\[Interface\][^\[]*^[ \t]*PrivateKey[ \t]*=", SecretKind.WIREGUARD),
        (rb'"type"\s*:\s*"service_account"', SecretKind.GOOGLE_KEY),
        (rb"\A\xfe\xed\xfe\xed", SecretKind.JAVA),
    )
)
# The end of the path -> what it is, where the content is binary or might be anybody's.
_ENDINGS: tuple[tuple[re.Pattern[str], SecretKind], ...] = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (r"/private-keys-v1\.d/[0-9A-F]{40}\.key$", SecretKind.GPG_KEY),
        (r"/(pubring\.(kbx|gpg)|trustdb\.gpg)$", SecretKind.GPG_KEYRING),
        (r"\.(p12|pfx)$", SecretKind.PKCS12),
        (r"/signingkeys\.json$", SecretKind.NOTATION_KEYS),
        (r"/trustpolicy(\.oci)?\.json$", SecretKind.NOTATION_POLICY),
        (r"/docker-compose\.ya?ml$", SecretKind.COMPOSE),
        (r"/nginx(/.*)?\.conf$|/nginx/.*\.conf$", SecretKind.NGINX),
        (r"\.ya?ml$", SecretKind.YAML),
    )
)


def what_is(path: str, data: bytes, *, cosign_password: str | None = None) -> SecretKind:
    """What a file is; OTHER where nothing tells."""
    if path == cosign_password:
        return SecretKind.COSIGN_PASSWORD
    place = next((what for end, what in PLACES.items() if path.endswith("/" + end)), None)
    if place:
        return place
    if PurePosixPath(path).name == "harbor.yml":
        return SecretKind.HARBOR_YML
    return _by_content(path, data) or next((w for p, w in _ENDINGS if p.search(path)), SecretKind.OTHER)


def _by_content(path: str, data: bytes) -> SecretKind | None:
    if x509.holds_certificate(data):
        return _certificate(data)
    looks: tuple[Callable[[], SecretKind | None], ...] = (
        lambda: SecretKind.ENCRYPTED_KEY if x509.holds_encrypted_key(data) else None,
        lambda: SecretKind.PRIVATE_KEY if x509.holds_key(data) else None,
        lambda: _ssh_key(data),
        lambda: next((what for mark, what in _MARKS if mark.search(data[:_LOOKED_AT])), None),
        lambda: _der(path, data),
    )
    return next((found for look in looks if (found := look())), None)


def _certificate(data: bytes) -> SecretKind:
    if x509.holds_encrypted_key(data):
        return SecretKind.BOTH_ENCRYPTED
    if x509.holds_key(data):
        return SecretKind.BOTH
    try:
        found = x509.read_certificates(data)
    except ValueError:
        return SecretKind.CERTIFICATE
    if not found[0].authority:
        return SecretKind.CERTIFICATE
    return SecretKind.AUTHORITY if len(x509.chain_of(found)) == len(found) else SecretKind.TRUST_STORE


def _ssh_key(data: bytes) -> SecretKind | None:
    if ssh.MARK not in data:
        return None
    return SecretKind.SSH_KEY_ENCRYPTED if ssh.is_encrypted(data) else SecretKind.SSH_KEY


def _der(path: str, data: bytes) -> SecretKind | None:
    if not path.endswith((".crt", ".cer", ".der", ".pem")) or data[:1] != b"\x30":
        return None
    try:
        return SecretKind.AUTHORITY if x509.read_certificate(data).authority else SecretKind.CERTIFICATE
    except ValueError:
        return None


def certificates_in(what: str, data: bytes) -> Sequence[Certificate]:
    """The certificates of a file whose validity matters: of a store of trusted ones, none does.

    Raises ValueError where they cannot be read.
    """
    return x509.read_certificates(data) if what in CERTIFICATES else ()
