"""What a file of the secrets bundle can be: names, and what they have in common."""

from __future__ import annotations

from enum import StrEnum


class SecretKind(StrEnum):
    """What a file is, in a word or two; the values stand in stored manifests and bundles.

    Those may also hold kinds that only another version of drkit knows.
    """

    SECRET_KEY = "secret key"
    TOKEN_KEY = "token key"
    TOKEN_CERTIFICATE = "token certificate"
    HARBOR_YML = "harbor.yml"
    CERTIFICATE = "certificate"
    AUTHORITY = "CA certificate"
    TRUST_STORE = "trusted CA certificates"
    REQUEST = "certificate request"
    REVOCATIONS = "revocation list"
    PRIVATE_KEY = "private key"
    ENCRYPTED_KEY = "private key, encrypted"
    BOTH = "certificate and private key"
    BOTH_ENCRYPTED = "certificate and private key, encrypted"
    PUBLIC_KEY = "public key"
    COSIGN_KEY = "cosign private key, encrypted"
    COSIGN_PASSWORD = "cosign password"
    GPG_KEY = "GPG private key"
    GPG_PUBLIC_KEY = "GPG public key"
    GPG_KEYRING = "GPG keyring"
    SSH_KEY = "SSH private key"
    SSH_KEY_ENCRYPTED = "SSH private key, encrypted"
    SSH_PUBLIC_KEY = "SSH public key"
    AGE_IDENTITY = "age identity"
    PKCS12 = "PKCS#12 key store"
    JAVA = "Java key store"
    NOTATION_KEYS = "Notation key list"
    NOTATION_POLICY = "Notation trust policy"
    DH_PARAMETERS = "DH parameters"
    WIREGUARD = "WireGuard configuration"
    GOOGLE_KEY = "Google service account key"
    COMPOSE = "docker-compose.yml"
    NGINX = "nginx configuration"
    YAML = "YAML"
    OTHER = "file"


# Those whose validity matters: of a store of trusted ones, none does.
CERTIFICATES = frozenset(
    (
        SecretKind.CERTIFICATE,
        SecretKind.AUTHORITY,
        SecretKind.BOTH,
        SecretKind.BOTH_ENCRYPTED,
        SecretKind.TOKEN_CERTIFICATE,
    )
)
# What says that it has to do with certificates, whether or not they can be read.
ABOUT_CERTIFICATES = CERTIFICATES | {SecretKind.TRUST_STORE, SecretKind.REQUEST}
# Nothing in them is looked at: they open with a password.
KEY_STORES = frozenset((SecretKind.PKCS12, SecretKind.JAVA))
# What opens with a password alone, but for cosign's keys, whose passwords are looked for.
LOCKED = KEY_STORES | {SecretKind.ENCRYPTED_KEY, SecretKind.BOTH_ENCRYPTED, SecretKind.SSH_KEY_ENCRYPTED}

# What opens or signs something, and what Harbor's tokens need; one that is gone is missed. Not an age
# identity, which `doctor` wants out of the bundle.
KEYS = LOCKED | {
    SecretKind.SECRET_KEY,
    SecretKind.TOKEN_KEY,
    SecretKind.TOKEN_CERTIFICATE,
    SecretKind.PRIVATE_KEY,
    SecretKind.BOTH,
    SecretKind.COSIGN_KEY,
    SecretKind.GPG_KEY,
    SecretKind.SSH_KEY,
}
