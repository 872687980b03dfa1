"""Checks on signing keys: cosign's key pairs, and a signature stored in the restored registry."""

from __future__ import annotations

import json
import re
import secrets as random_secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from drkit import config
from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, not_provable, passed, verdict
from drkit.errors import ConfigError, ToolFailed
from drkit.harbor.tables import StoredSignature
from drkit.model import CheckKind, Outcome
from drkit.registry import links, storage
from drkit.secrets.bundle import Member
from drkit.secrets.kinds import SecretKind
from drkit.tools import cosign
from drkit.tools.registry import parse_manifest

# So many are tried before the key is said to have signed none of them.
_MOST = 1000

_TAG = re.compile(r"sha256-(?P<digits>[0-9a-f]{64})(?P<signature>\.sig)?")

Signatures = Callable[[], Iterable[StoredSignature]]


@dataclass(frozen=True)
class Signed:
    """What the check of stored signatures works on: restored blobs, and where signatures are listed.

    `read` is as storage.read_small, of the restored images. `directory` is private; `sampled` says that only
    some of the images were restored.
    """

    read: Callable[[str], bytes | None]
    listed: Signatures
    directory: Path
    sampled: bool


@dataclass(frozen=True)
class Password:
    """A password to try; `outside` is the file that it is from, if it is not in the bundle."""

    value: bytes
    outside: str = ""


def checks(
    members: Sequence[Member], passwords: Callable[[], Sequence[Password]], signed: Signed | None
) -> Iterator[Check]:
    """Key pairs where there are cosign keys, a stored signature where there is a public key."""
    files = {member.path: member.data for member in members if member.kind == "file"}
    private = [member.path for member in members if member.what == SecretKind.COSIGN_KEY]
    public = _public_keys(members)
    if private:
        yield Check(CheckKind.SIGNING_KEYS, lambda: pairs_sign(files, private, public, passwords()))
    if signed is not None and public:
        yield Check(CheckKind.SIGNATURE, lambda: one_verifies(public, signed))


def has_public_key(members: Sequence[Member]) -> bool:
    """Whether there is a key that signatures can be verified with."""
    return bool(_public_keys(members))


def _public_keys(members: Sequence[Member]) -> dict[str, bytes]:
    return {member.path: member.data for member in members if member.what == SecretKind.PUBLIC_KEY}


def passwords_in(members: Sequence[Member]) -> tuple[Password, ...]:
    """The passwords of cosign keys that the bundle itself holds."""
    held = [member.data for member in members if member.what == SecretKind.COSIGN_PASSWORD]
    return tuple(Password(as_password(data)) for data in held)


def passwords(settings: config.Secrets, members: Sequence[Member]) -> tuple[Password, ...]:
    """The passwords of cosign keys: those in the bundle, else that in the file which the configuration names.

    Raises ConfigError where that cannot be read.
    """
    found, path = passwords_in(members), settings.cosign_password_file
    if found or path is None:
        return found
    try:
        return (Password(as_password(path.read_bytes()), outside=str(path)),)
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
    passwords: Sequence[Password],
) -> Finding:
    """Each private key opens with its password, and its public half verifies what it signs.

    With a password that is not in the bundle that is no pass: another machine may not have it.
    """
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
    path: str, data: bytes, public: Mapping[str, bytes], passwords: Sequence[Password]
) -> tuple[str | None, bool]:
    """What is wrong with a pair, if anything, and whether it is certain to be a fault."""
    try:
        opened = _opened(data, passwords)
    except ValueError as error:
        return f"{path}: {error}", True
    if opened is not None:
        return _held_against(path, *opened, public)
    if passwords:
        return f"{path} does not open with the password at hand", True
    return f"{path} is encrypted, and cosign_password_file in [secrets] names no password", False


def _opened(data: bytes, passwords: Sequence[Password]) -> tuple[cosign.PrivateKey, Password] | None:
    # A key may have been made without a password; cosign calls that an empty one.
    for password in (*passwords, Password(b"")):
        try:
            return cosign.open_private_key(data, password.value), password
        except cosign.WrongPassword:
            continue
    return None


def _held_against(
    path: str, key: cosign.PrivateKey, password: Password, public: Mapping[str, bytes]
) -> tuple[str | None, bool]:
    beside = str(PurePosixPath(path).with_suffix(".pub"))
    candidates = [public[beside]] if beside in public else list(public.values())
    if not candidates:
        return f"{path} opens, and no public key is in the bundle to hold against it", False
    if not any(pair_signs(key, candidate) for candidate in candidates):
        return f"no public key in the bundle verifies what {path} signs", True
    if password.outside:
        return f"{path} opens with a password that is not in the bundle, but in {password.outside}", False
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
        manifest = signed.read(stored.digest)
        if manifest is None:
            absent += 1
            continue
        for signature in cosign.signatures(manifest):
            tried += 1
            payload = signed.read(signature.payload)
            found = _match(public, signature, payload, stored) if payload is not None else None
            if found is not None and payload is not None:
                return _confirmed(found, public[found], signature, payload, stored, signed)
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
            subjects = cosign.subjects(signature, payload, key)
        except ValueError:
            continue
        if stored.subject in subjects:
            return path
    return None


def _confirmed(
    path: str,
    public: bytes,
    signature: cosign.Signature,
    payload: bytes,
    stored: StoredSignature,
    signed: Signed,
) -> Finding:
    """The program has the last word where it is installed."""
    image = f"{stored.repository}@{stored.subject}"
    agrees = _program_agrees(public, signature, payload, stored, signed)
    if agrees is False:
        return failed(f"cosign does not verify the signature of {image}")
    by = "cryptography and by cosign itself" if agrees else "cryptography"
    return passed(f"the signature of {image} verifies with {path}, by {by}")


def _program_agrees(
    public: bytes, signature: cosign.Signature, payload: bytes, stored: StoredSignature, signed: Signed
) -> bool | None:
    """What the program says; None where it is not there, or cannot judge a bundle."""
    if not cosign.installed():
        return None
    if signature.value:
        return cosign.program_verifies(public, signature, payload, signed.directory)
    image = signed.read(stored.subject)
    if image is None:
        return None
    return cosign.program_verifies_bundle(public, payload, image, signed.directory)


def listed_in(root: Path) -> Iterator[StoredSignature]:
    """Where a registry without a database may hold signatures: by cosign's tags, then by OCI's referrers.

    `sha256-<hex>.sig` is the signature itself, `sha256-<hex>` an index of whatever refers to that image; and
    any manifest may name the image that it is of as its subject.
    """
    seen = set()
    for tag in storage.tags(root):
        found = _TAG.fullmatch(tag.name)
        if found is None:
            continue
        digests = [tag.digest] if found["signature"] else _children(storage.read_small(root, tag.digest))
        for digest in digests:
            seen.add((tag.repository, digest))
            yield StoredSignature(tag.repository, digest, f"sha256:{found['digits']}")
    for repository, digest in links.revisions(root):
        subject = _subject_of(storage.read_small(root, digest))
        if subject and (repository, digest) not in seen:
            yield StoredSignature(repository, digest, subject)


def _children(index: bytes | None) -> list[str]:
    try:
        return [entry.digest for entry in parse_manifest("", index or b"").children]
    except ToolFailed:
        return []


def _subject_of(manifest: bytes | None) -> str | None:
    # Most have none, and there may be a million of them.
    if manifest is None or b'"subject"' not in manifest:
        return None
    try:
        return str(json.loads(manifest)["subject"]["digest"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def controls(
    members: Sequence[Member], signed: Signed | None, outcomes: Mapping[CheckKind, Outcome]
) -> Iterator[Control | Unplanted]:
    """Keys made a moment ago, in place of those that should fit."""
    public = _public_keys(members)
    stranger = cosign.new_private_key()
    if outcomes.get(CheckKind.SIGNING_KEYS) is Outcome.PASSED:
        first = next(iter(public.values()))
        yield Control(
            "another's cosign key",
            "a new private key for the restored public key",
            lambda: passed("it fits") if pair_signs(stranger, first) else failed("it does not fit"),
        )
    elif CheckKind.SIGNING_KEYS in outcomes:
        yield Unplanted("another's cosign key", "no pair was shown to belong together")
    if outcomes.get(CheckKind.SIGNATURE) is Outcome.PASSED and signed is not None:
        wrong = {path: cosign.public_half(stranger) for path in public}
        yield Control("another's public key", "a new key to verify with", lambda: one_verifies(wrong, signed))
    elif CheckKind.SIGNATURE in outcomes:
        yield Unplanted("another's public key", "no stored signature was verified with the right one")
