"""Identities that are sealed with a passphrase: age key files made by `age -p`, and encrypted SSH keys.

pyrage opens the first (scrypt, age-encryption.org/v1), cryptography the second. What was sealed is open in
memory alone.
"""

from __future__ import annotations

import base64
import binascii
import getpass
import os

import pyrage

from drkit.errors import ConfigError
from drkit.logs import register_secret
from drkit.progress import question
from drkit.tools import ssh

_AGE = b"age-encryption.org/v1\n"
_ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
_ARMOR_END = b"-----END AGE ENCRYPTED FILE-----"


def needed(data: bytes) -> bool:
    """Whether the bytes of a key file are sealed with a passphrase."""
    return data.startswith(_AGE) or data.lstrip().startswith(_ARMOR) or _is_sealed_ssh_key(data)


def _is_sealed_ssh_key(data: bytes) -> bool:
    return ssh.MARK in data and ssh.is_encrypted(data)


def ask(source: str) -> str:
    """The passphrase of `source`, typed at the terminal and not shown; raises ConfigError without one."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise ConfigError(
            f"{source} is protected by a passphrase, and there is no terminal to ask for it",
            hint="run this at a terminal; for drills that run by themselves, use an identity without one",
        ) from None
    with question():
        return register_secret(getpass.getpass(f"Passphrase of {source}: "))


def unsealed(data: bytes, passphrase: str, source: str) -> bytes:
    """The key file's own bytes; raises ConfigError for a wrong passphrase."""
    try:
        if _is_sealed_ssh_key(data):
            return ssh.without_passphrase(data, passphrase)
        return bytes(pyrage.passphrase.decrypt(_binary(data), passphrase))
    except (pyrage.DecryptError, ValueError):
        raise ConfigError(
            f"{source} does not open with this passphrase", hint="type it again; nothing was changed"
        ) from None


def _binary(data: bytes) -> bytes:
    """age's armor taken off (RFC 7468), where there is one; raises ValueError."""
    if data.startswith(_AGE):
        return data
    body = data.strip().removeprefix(_ARMOR).removesuffix(_ARMOR_END)
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None
