"""Checks on restored secrets: whole, certificates pair with keys, the secret key opens the database."""

from __future__ import annotations

import random
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath

from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, not_provable, passed, verdict
from drkit.errors import ConfigError, IdentityRefused
from drkit.harbor import secretkey, tables
from drkit.harbor.installation import parse_installation
from drkit.harbor.tables import EncryptedValue
from drkit.model import SecretFile
from drkit.sources import secrets
from drkit.sources.bundle import Member
from drkit.tools import age, postgres, x509
from drkit.tools.postgres import Target

SECRET_KEY = "secret/keys/secretkey"
_TOKEN_PAIR = ("secret/registry/root.crt", "secret/core/private_key.pem")
_SOON = timedelta(days=14)
# A wrong key turns a very short value into something that looks right now and then; three never agree.
_WRONG_KEYS = 3


@dataclass(frozen=True)
class Pair:
    """A certificate and the private key that should be its own, by path."""

    certificate: str
    key: str


def checks(
    members: Sequence[Member], expected: Sequence[SecretFile], database: Target | None, now: datetime
) -> Iterator[Check]:
    """The checks of a bundle that was opened; `database` is the restored Harbor database, if there is one."""
    files = {member.path: member.data for member in members if member.kind == "file"}
    yield Check("secrets bundle", lambda: bundle_whole(files, expected))
    pairs = find_pairs(files)
    if pairs:
        yield Check("certificate pairs", lambda: pairs_match(files, pairs))
    if any(x509.holds_certificate(data) for data in files.values()):
        yield Check("certificate expiry", lambda: none_expires(files, now))
    key = secret_key(files)
    if database is not None:
        yield Check("secret key", lambda: key_opens(key, database))


def secret_key(files: Mapping[str, bytes]) -> bytes | None:
    """Harbor's secret key, if the bundle has it."""
    return next((data for path, data in files.items() if path.endswith("/" + SECRET_KEY)), None)


def bundle_whole(files: Mapping[str, bytes], expected: Sequence[SecretFile]) -> Finding:
    """The bundle has the files that the manifest lists, at their length; their hashes it checked itself."""
    wanted = {file.path: file.bytes for file in expected}
    found = {path: len(data) for path, data in files.items()}
    faults = [
        f"{path} differs"
        for path in sorted(wanted.keys() | found.keys())
        if wanted.get(path) != found.get(path)
    ]
    return verdict(faults, f"{len(found)} files, opened with the identity at hand, hashes as packed")


def find_pairs(files: Mapping[str, bytes]) -> tuple[Pair, ...]:
    """Which key should fit which certificate: as harbor.yml says, the token keys, and files of one stem."""
    found: dict[str, Pair] = {}
    for path, data in files.items():
        if PurePosixPath(path).name == "harbor.yml":
            found |= {p.certificate: p for p in _configured(path, data)}
        certificate = path.removesuffix(_TOKEN_PAIR[0]) + _TOKEN_PAIR[0]
        if path == certificate:
            found[path] = Pair(path, path.removesuffix(_TOKEN_PAIR[0]) + _TOKEN_PAIR[1])
        sibling = str(PurePosixPath(path).with_suffix(".key"))
        if x509.holds_certificate(data) and sibling in files and sibling != path:
            found.setdefault(path, Pair(path, sibling))
    return tuple(sorted(found.values(), key=lambda pair: pair.certificate))


def _configured(path: str, data: bytes) -> Iterator[Pair]:
    try:
        installation = parse_installation(data, Path(path))
    except ConfigError:
        return
    if installation.certificate and installation.private_key:
        yield Pair(str(installation.certificate), str(installation.private_key))


def pairs_match(files: Mapping[str, bytes], pairs: Iterable[Pair]) -> Finding:
    """Each private key is that of its certificate."""
    pairs = tuple(pairs)
    faults = [fault for pair in pairs if (fault := _mismatch(files, pair))]
    return verdict(faults, f"{len(pairs)} certificates pair with their keys")


def _mismatch(files: Mapping[str, bytes], pair: Pair) -> str | None:
    missing = [path for path in (pair.certificate, pair.key) if path not in files]
    if missing:
        return f"{missing[0]} is not in the bundle"
    try:
        same = x509.read_certificate(files[pair.certificate]).public_key == x509.public_half(files[pair.key])
    except ValueError as error:
        return f"{pair.certificate} and {pair.key} cannot be read: {error}"
    return None if same else f"{pair.key} is not the key of {pair.certificate}"


def none_expires(files: Mapping[str, bytes], now: datetime) -> Finding:
    """No certificate has expired or will within a fortnight."""
    faults, soonest = [], None
    for path, data in sorted(files.items()):
        if not x509.holds_certificate(data):
            continue
        try:
            end = x509.read_certificate(data).not_after
        except ValueError as error:
            faults.append(f"{path} cannot be read: {error}")
            continue
        soonest = min(soonest or end, end)
        if end - now < _SOON:
            faults.append(f"{path} {'expired' if end < now else 'expires'} on {end:%Y-%m-%d}")
    return verdict(
        faults, f"the first to expire does so on {soonest:%Y-%m-%d}" if soonest else "no certificate"
    )


def key_opens(key: bytes | None, database: Target) -> Finding:
    """The secret key gives sense, not noise, for every encrypted value of the restored database."""
    with postgres.connect(database) as session, session.undone():
        count, noise = _try_key(key or b"", tables.encrypted_values(session))
    if not count:
        return not_provable("the database holds no encrypted value to try the secret key on")
    if key is None:
        return failed(f"{count} values are encrypted, and the bundle has no {SECRET_KEY}")
    if len(key) != secretkey.KEY_BYTES:
        return failed(f"the secret key has {len(key)} characters instead of {secretkey.KEY_BYTES}")
    return verdict(noise, f"{count} encrypted values open with the secret key")


def _try_key(key: bytes, values: Iterable[EncryptedValue]) -> tuple[int, list[str]]:
    count, noise = 0, []
    for value in values:
        count += 1
        if len(key) == secretkey.KEY_BYTES and not _opens(key, value):
            noise.append(f"{value.place} gives noise")
    return count, noise


def _opens(key: bytes, value: EncryptedValue) -> bool:
    try:
        plain = secretkey.decrypt(value.value, key)
    except ValueError:
        return False
    return secretkey.well_shaped(plain, json_expected=value.json_expected)


def controls(
    members: Sequence[Member], sealed: bytes, database: Target | None, *, key_proved: bool
) -> Iterator[Control | Unplanted]:
    """An identity that is none of the recipients', another's key for a certificate, another secret key."""
    files = {member.path: member.data for member in members if member.kind == "file"}
    yield Control("wrong age identity", "an identity made a moment ago", lambda: _open_with_stranger(sealed))
    pairs = find_pairs(files)
    if pairs:
        wrong = {**files, pairs[0].key: x509.new_key()}
        yield Control(
            "another's key", f"a new key for {pairs[0].certificate}", lambda: pairs_match(wrong, pairs[:1])
        )
    else:
        yield Unplanted("another's key", "the bundle has no certificate with its key")
    if database is not None and key_proved:
        yield Control("wrong secret key", f"{_WRONG_KEYS} keys made up", lambda: _wrong_key(database))
    elif database is not None:
        yield Unplanted("wrong secret key", "the right one opened nothing that another could fail on")


def _open_with_stranger(sealed: bytes) -> Finding:
    line, _ = age.generate()
    try:
        secrets.unseal(sealed, age.parse_identities(line.encode(), "a made-up identity"))
    except IdentityRefused as error:
        return failed(error.message)
    return passed("the bundle opened")


def _wrong_key(database: Target) -> Finding:
    letters = string.ascii_letters + string.digits
    findings = []
    for _ in range(_WRONG_KEYS):
        key = "".join(random.SystemRandom().choices(letters, k=secretkey.KEY_BYTES)).encode()
        findings.append(key_opens(key, database))
    return next((finding for finding in findings if finding.outcome == "failed"), findings[0])
