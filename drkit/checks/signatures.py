"""Checks on signing keys: cosign's key pairs, and a signature stored in the restored registry."""

from __future__ import annotations

import hashlib
import secrets as random_secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from drkit import config
from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, not_provable, passed, verdict
from drkit.errors import ConfigError
from drkit.harbor import storage
from drkit.harbor.tables import StoredSignature
from drkit.model import Outcome
from drkit.sources import kinds
from drkit.sources.bundle import Member
from drkit.tools import cosign

KEY_PAIRS = "cosign key pairs"
STORED = "stored signature"

# So many are tried before the key is said to have signed none of them.
_MOST = 1000
_LARGEST = 4 << 20

Signatures = Callable[[], Iterable[StoredSignature]]


@dataclass(frozen=True)
class Signed:
    """What the check of stored signatures works on: the restored tree, and where signatures are listed.

    `directory` is private; `sampled` says that only some of the images were restored.
    """

    root: Path
    listed: Signatures
    directory: Path
    sampled: bool


def checks(
    members: Sequence[Member], passwords: Callable[[], Sequence[bytes]], signed: Signed | None
) -> Iterator[Check]:
    """Key pairs where there are cosign keys, a stored signature where there is a public key."""
    files = {member.path: member.data for member in members if member.kind == "file"}
    private = [member.path for member in members if member.what == kinds.COSIGN_KEY]
    public = _public_keys(members)
    if private:
        yield Check(KEY_PAIRS, lambda: pairs_sign(files, private, public, passwords()))
    if signed is not None and public:
        yield Check(STORED, lambda: one_verifies(public, signed))


def _public_keys(members: Sequence[Member]) -> dict[str, bytes]:
    return {member.path: member.data for member in members if member.what == kinds.PUBLIC_KEY}


def passwords_in(members: Sequence[Member]) -> tuple[bytes, ...]:
    """The passwords of cosign keys that the bundle itself holds."""
    return tuple(as_password(member.data) for member in members if member.what == kinds.COSIGN_PASSWORD)


def passwords(settings: config.Secrets, members: Sequence[Member]) -> tuple[bytes, ...]:
    """The passwords of cosign keys: those in the bundle, else that in the file which the configuration names.

    Raises ConfigError where that cannot be read.
    """
    found, path = passwords_in(members), settings.cosign_password_file
    if found or path is None:
        return found
    try:
        return (as_password(path.read_bytes()),)
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}", hint="see cosign_password_file in [secrets]"
        ) from None


def as_password(data: bytes) -> bytes:
    """A password file's content as cosign would be given it: without the line's end."""
    return data.rstrip(b"\r\n")


def pairs_sign(
    files: Mapping[str, bytes],
    private: Sequence[str],
    public: Mapping[str, bytes],
    passwords: Sequence[bytes],
) -> Finding:
    """Each private key opens with its password, and its public half verifies what it signs."""
    faults: list[str] = []
    unknown: list[str] = []
    for path in private:
        said, sure = _pair(path, files[path], public, passwords)
        if said:
            (faults if sure else unknown).append(said)
    if unknown and not faults:
        return not_provable("; ".join(unknown))
    keys = "private key" if len(private) == 1 else "private keys"
    said = f"{len(private)} {keys} opened, by PyNaCl; the public half verifies what each signs"
    return verdict(faults, said)


def _pair(
    path: str, data: bytes, public: Mapping[str, bytes], passwords: Sequence[bytes]
) -> tuple[str | None, bool]:
    """What is wrong with a pair, if anything, and whether it is certain to be a fault."""
    key = None
    # A key may have been made without a password; cosign calls that an empty one.
    for password in (*passwords, b""):
        try:
            key = cosign.open_private_key(data, password)
            break
        except cosign.WrongPassword:
            continue
        except ValueError as error:
            return f"{path}: {error}", True
    if key is None and passwords:
        return f"{path} does not open with the password at hand", True
    if key is None:
        return f"{path} is encrypted, and cosign_password_file in [secrets] names no password", False
    beside = str(PurePosixPath(path).with_suffix(".pub"))
    candidates = [public[beside]] if beside in public else list(public.values())
    if not candidates:
        return f"{path} opens, and no public key is in the bundle to hold against it", False
    if not any(pair_signs(key, candidate) for candidate in candidates):
        return f"no public key in the bundle verifies what {path} signs", True
    return None, True


def pair_signs(private: cosign.PrivateKey, public: bytes) -> bool:
    """Whether the public key verifies what the private one signs."""
    message = random_secrets.token_bytes(32)
    try:
        return cosign.verifies(public, cosign.sign(private, message), message)
    except ValueError:
        return False


def one_verifies(public: Mapping[str, bytes], signed: Signed) -> Finding:
    """At least one signature that the restored registry holds is that of a restored key."""
    tried = absent = 0
    for stored in signed.listed():
        if tried >= _MOST:
            break
        manifest = _read(signed.root, stored.digest)
        if manifest is None:
            absent += 1
            continue
        for signature in cosign.signatures(manifest):
            tried += 1
            payload = _read(signed.root, signature.payload)
            found = _match(public, signature, payload, stored) if payload is not None else None
            if found is not None and payload is not None:
                return _confirmed(found, public[found], signature, payload, stored, signed.directory)
    if tried:
        return failed(f"none of {tried:,} stored signatures verifies with {', '.join(sorted(public))}")
    if absent and signed.sampled:
        return not_provable("only some of the images were restored, and no signature is among them")
    if absent:
        return failed(f"none of {absent:,} stored signatures came back with the images")
    return not_provable("the registry holds no signature made with a key pair")


def _match(
    public: Mapping[str, bytes], signature: cosign.Signature, payload: bytes, stored: StoredSignature
) -> str | None:
    for path, key in public.items():
        try:
            subject = cosign.subject(signature, payload, key)
        except ValueError:
            continue
        if subject is not None and subject == stored.subject:
            return path
    return None


def _confirmed(
    path: str,
    public: bytes,
    signature: cosign.Signature,
    payload: bytes,
    stored: StoredSignature,
    directory: Path,
) -> Finding:
    """The program has the last word where it is installed; on bundles of the newer form it is not asked."""
    by = "cryptography"
    if signature.value and cosign.installed():
        if not cosign.program_verifies(public, signature, payload, directory):
            return failed(f"cosign does not verify the signature of {stored.repository}@{stored.subject}")
        by = "cryptography and by cosign itself"
    return passed(f"the signature of {stored.repository}@{stored.subject} verifies with {path}, by {by}")


def _read(root: Path, digest: str) -> bytes | None:
    """A small blob of the restored tree; None where it is not there, is large, or holds other bytes."""
    path = storage.blob_path(root, digest)
    try:
        if path.stat().st_size > _LARGEST:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    return data if f"sha256:{hashlib.sha256(data).hexdigest()}" == digest else None


def controls(
    members: Sequence[Member], signed: Signed | None, outcomes: Mapping[str, Outcome]
) -> Iterator[Control | Unplanted]:
    """Keys made a moment ago, in place of those that should fit."""
    public = _public_keys(members)
    stranger = cosign.new_private_key()
    if outcomes.get(KEY_PAIRS) is Outcome.PASSED:
        first = next(iter(public.values()))
        yield Control(
            "another's cosign key",
            "a new private key for the restored public key",
            lambda: passed("it fits") if pair_signs(stranger, first) else failed("it does not fit"),
        )
    elif KEY_PAIRS in outcomes:
        yield Unplanted("another's cosign key", "no pair was shown to belong together")
    if outcomes.get(STORED) is Outcome.PASSED and signed is not None:
        wrong = {path: cosign.public_half(stranger) for path in public}
        yield Control("another's public key", "a new key to verify with", lambda: one_verifies(wrong, signed))
    elif STORED in outcomes:
        yield Unplanted("another's public key", "no stored signature was verified with the right one")
