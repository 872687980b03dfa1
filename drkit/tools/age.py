"""age encryption, by pyrage; the format is that of the `age` program (age-encryption.org/v1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pyrage

from drkit.errors import ConfigError, IdentityRefused, Interrupted, RestoreDamaged
from drkit.logs import register_secret
from drkit.tools import passphrases
from drkit.tools.recipient import named

# pyrage ships no types: an X25519 or an SSH key.
Recipient: TypeAlias = Any
Identity: TypeAlias = Any


def parse_recipients(texts: Sequence[str]) -> list[Recipient]:
    """`age1...` and `ssh-...` public keys, with or without a name after them.

    Raises ConfigError that names the one that is none.
    """
    found: list[Recipient] = []
    for text in texts:
        recipient = named(text)
        kind = pyrage.x25519.Recipient if recipient.kind == "x25519" else pyrage.ssh.Recipient
        try:
            if not text.isprintable():
                raise ValueError(text)
            found.append(kind.from_str(recipient.key))
        except Interrupted:
            raise
        except Exception:  # noqa: BLE001 - pyrage raises plain exceptions of several kinds
            raise _no_recipient(text, recipient.key) from None
    return found


def _no_recipient(text: str, key: str) -> ConfigError:
    """Why a recipient is not taken. Those of plugins and post-quantum keys are `age1NAME1...`."""
    other = re.fullmatch(r"age1([a-z]+)1[a-z0-9]+", key)
    if other:
        what = "post-quantum keys" if other[1] in ("pq", "tagpq") else f"the kind age1{other[1]}1"
        return ConfigError(
            f"recipients of {what} are not supported: {_shown(text)}",
            hint="use an X25519 key (`age-keygen`) or an SSH key",
        )
    return ConfigError(
        f"not an age recipient: {_shown(text)}",
        hint="it starts with age1, ssh-ed25519 or ssh-rsa; `age-keygen -y KEYFILE` prints it",
    )


def _shown(text: str) -> str:
    """A recipient for a message; a private key put there by mistake is not repeated."""
    if text.upper().startswith("AGE-SECRET-KEY-"):
        register_secret(text)
        return "this is an identity (a private key), and a public key is needed"
    return repr(text if len(text) <= 80 else text[:77] + "...")


# What is typed, or comes through a pipe (`--identity <(...)`), is there once; a plan and the work share it.
_once: dict[Path, list[Identity]] = {}


def read_identities(path: Path) -> list[Identity]:
    """The identities in an age key file, or the one in an SSH private key file; raises ConfigError.

    Either may be sealed with a passphrase, which is asked for at the terminal: an SSH key by its own means,
    an age key file by `age -p`. A bundle itself is never encrypted to a passphrase. The format makes such a
    file a second one beside it, and to write that anew with every backup the passphrase would have to stand
    on the very machine that it protects from.
    """
    if path in _once:
        return _once[path]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read the age identity {path}: {error.strerror}",
            hint="see identity_file, or --identity FILE",
        ) from None
    sealed = passphrases.needed(data)
    if sealed:
        data = passphrases.unsealed(data, passphrases.ask(str(path)), str(path))
    register_secret(data.decode("utf-8", "replace").strip())
    found = parse_identities(data, str(path))
    if sealed or not path.is_file():
        _once[path] = found
    return found


def parse_identities(data: bytes, source: str) -> list[Identity]:
    """The identities in the bytes of a key file; raises ConfigError where there is none."""
    try:
        if b"PRIVATE KEY-----" in data:
            return [pyrage.ssh.Identity.from_buffer(data)]
        keys = [line.strip() for line in data.decode("utf-8").splitlines()]
        found: list[Identity] = [
            pyrage.x25519.Identity.from_str(register_secret(key))
            for key in keys
            if key and not key.startswith("#")
        ]
    except Interrupted:
        raise
    except Exception:  # noqa: BLE001 - pyrage raises plain exceptions of several kinds
        found = []
    if not found:
        raise ConfigError(
            f"{source} holds no age identity",
            hint="it is a file made by `age-keygen`, or an SSH private key without a passphrase",
        )
    return found


def recipients_of(identities: Sequence[Identity]) -> list[str]:
    """The public halves of X25519 identities; an SSH key does not tell its own."""
    return [str(i.to_public()) for i in identities if isinstance(i, pyrage.x25519.Identity)]


def generate() -> tuple[str, str]:
    """A new identity: (secret line, its recipient)."""
    identity = pyrage.x25519.Identity.generate()
    return register_secret(str(identity)), str(identity.to_public())


def encrypt(data: bytes, recipients: Sequence[str]) -> bytes:
    """Encrypt to all recipients; any one of their identities opens it."""
    return bytes(pyrage.encrypt(data, parse_recipients(recipients)))


def opens(text: str, identities: Sequence[Identity]) -> bool:
    """Whether one of the identities opens what is sent to this recipient; tried, not deduced."""
    try:
        decrypt(encrypt(b"trial", [text]), identities)
    except IdentityRefused:
        return False
    return True


def opened(recipients: Sequence[str], identities: Sequence[Identity]) -> tuple[str, ...]:
    """The recipients, as keys without names, that one of the identities opens."""
    return tuple(sorted({named(text).key for text in recipients if opens(text, identities)}))


def count_recipients(data: bytes) -> int:
    """For how many recipients a file is encrypted, by its header (age-encryption.org/v1)."""
    header = data.partition(b"\n---")[0]
    kinds = [line.split()[1] for line in header.splitlines() if line.startswith(b"-> ") and line.split()[1:]]
    # What ends so is noise, there to keep readers from choking on kinds that they do not know.
    return sum(not kind.endswith(b"-grease") for kind in kinds)


def decrypt(data: bytes, identities: Sequence[Identity]) -> bytes:
    """Open; raises IdentityRefused if no identity fits, RestoreDamaged if the data is cut or altered."""
    try:
        return bytes(pyrage.decrypt(data, list(identities)))
    except pyrage.DecryptError as error:
        if "No matching keys" in str(error):
            raise IdentityRefused(
                "no age identity at hand opens the secrets bundle",
                hint="give the identity of one of its recipients (see `drkit show`) with --identity",
            ) from None
        # pyrage says more than one sentence of some.
        why = (str(error).splitlines() or ["no reason given"])[0].rstrip(".")
        raise RestoreDamaged(
            f"the secrets bundle is damaged: {why}", hint="restore from another point"
        ) from None
