"""Checks on restored secrets: whole, certificates pair with keys, the secret key opens the database."""

from __future__ import annotations

import random
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, not_provable, passed, verdict
from drkit.errors import ConfigError, IdentityRefused
from drkit.harbor import secretkey, tables
from drkit.harbor.installation import parse_installation
from drkit.harbor.tables import EncryptedValue
from drkit.model import Manifest
from drkit.sources import kinds, secrets
from drkit.sources.bundle import Bundle, Member
from drkit.sources.fingerprints import FingerprintKey
from drkit.tools import age, postgres, x509
from drkit.tools.postgres import Target

SECRET_KEY = "secret/keys/secretkey"
_TOKEN_PAIR = ("secret/registry/root.crt", "secret/core/private_key.pem")
# Names of a certificate's file -> that of its key beside it; the last is certbot's.
_STEMS = ((".crt", ".key"), (".pem", ".key"), (".cer", ".key"), (".pem", "-key.pem"))
_CERTBOT = ("fullchain.pem", "cert.pem")
_CERTBOT_KEY = "privkey.pem"
# A wrong key turns a very short value into something that looks right now and then; three never agree.
_WRONG_KEYS = 3
# One wrong key in a million would pass: below that, the values are too few and too short to prove the key.
_PROOF_BITS = 20.0
_NAMES = 3


@dataclass(frozen=True)
class Pair:
    """A certificate and the private key that should be its own, by path."""

    certificate: str
    key: str


def checks(bundle: Bundle, manifest: Manifest, database: Target | None) -> Iterator[Check]:
    """The checks of a bundle that was opened; `database` is the restored Harbor database, if there is one."""
    files = contents(bundle.members)
    yield Check("secrets bundle", lambda: bundle_whole(bundle, manifest))
    pairs = find_pairs(files)
    if pairs:
        yield Check("certificate pairs", lambda: pairs_match(files, pairs))
    key = secret_key(files)
    if database is not None:
        yield Check("secret key", lambda: key_opens(key, database))


def contents(members: Iterable[Member]) -> dict[str, bytes]:
    """Path -> content of every file."""
    return {member.path: member.data for member in members if member.kind == "file"}


def secret_key(files: Mapping[str, bytes]) -> bytes | None:
    """Harbor's secret key, if the bundle has it."""
    return next((data for path, data in files.items() if path.endswith("/" + SECRET_KEY)), None)


def bundle_whole(bundle: Bundle, manifest: Manifest) -> Finding:
    """The bundle has the files that the manifest lists, with the content that they had then.

    Its own index, checked when it was opened, says that nothing was damaged; the fingerprints in the manifest
    say that it is this point's bundle and no other's.
    """
    files = contents(bundle.members)
    wanted = {file.path: file for file in manifest.secret_files}
    faults = []
    for path in sorted(wanted.keys() | files.keys()):
        if path not in files:
            faults.append(f"{path} is missing")
        elif path not in wanted:
            faults.append(f"{path} is not in the manifest")
        elif wanted[path].bytes != len(files[path]):
            faults.append(f"{path} differs")
    key = FingerprintKey(bundle.fingerprint_key)
    bound = bool(bundle.fingerprint_key) and key.id == manifest.fingerprint_key
    if bound and not faults:
        faults = [f"{p} differs" for p, f in wanted.items() if f.fingerprint != key.of(p, files[p])]
    said = f"{len(files)} files, opened with the identity at hand"
    if not bundle.indexed and not faults:
        return not_provable(
            f"{said}, of the right names and lengths; the bundle has no index, so nobody knows what they held"
        )
    fingerprints = ", fingerprints as in the manifest" if bound else ""
    return verdict(faults, f"{said}, hashes as packed{fingerprints}")


def find_pairs(files: Mapping[str, bytes]) -> tuple[Pair, ...]:
    """Which key should fit which certificate: as harbor.yml says, the token keys, and files of one stem.

    A key that is encrypted cannot be held against anything; it is told of apart.
    """
    found: dict[str, Pair] = {}
    for path, data in files.items():
        if PurePosixPath(path).name == "harbor.yml":
            found |= {p.certificate: p for p in _configured(path, data)}
        certificate = path.removesuffix(_TOKEN_PAIR[0]) + _TOKEN_PAIR[0]
        if path == certificate:
            found[path] = Pair(path, path.removesuffix(_TOKEN_PAIR[0]) + _TOKEN_PAIR[1])
        if x509.holds_certificate(data) or kinds.what_is(path, data) in (kinds.CERTIFICATE, kinds.AUTHORITY):
            # A file with both is its own sibling.
            sibling = next(
                (key for key in _siblings(path) if key in files), path if x509.holds_key(data) else None
            )
            if sibling:
                found.setdefault(path, Pair(path, sibling))
    provable = (p for p in found.values() if not x509.holds_encrypted_key(files.get(p.key, b"")))
    return tuple(sorted(provable, key=lambda pair: pair.certificate))


def _siblings(path: str) -> Iterator[str]:
    for end, key in _STEMS:
        if path.endswith(end):
            yield path.removesuffix(end) + key
    if PurePosixPath(path).name in _CERTBOT:
        yield str(PurePosixPath(path).with_name(_CERTBOT_KEY))


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


@dataclass
class _Trial:
    """What came of trying a key: how many values, how many gave noise, and how much their sense proves.

    `bits` is how unlikely it is that a wrong key makes sense of all of them, as a power of two.
    """

    values: int = 0
    noise: int = 0
    tokens: int = 0
    bits: float = 0.0
    places: list[str] = field(default_factory=list)

    def add(self, value: EncryptedValue, key: bytes) -> None:
        self.values += 1
        self.tokens += value.json_expected
        proof = _proof(key, value)
        if proof is None:
            self.noise += 1
            self.places += [value.place] if len(self.places) < _NAMES else []
        else:
            self.bits += proof


def key_opens(key: bytes | None, database: Target) -> Finding:
    """The secret key gives sense, not noise, for every encrypted value of the restored database."""
    usable = key is not None and len(key) == secretkey.KEY_BYTES
    trial = _Trial()
    with postgres.connect(database) as session, session.undone():
        for value in tables.encrypted_values(session):
            trial.add(value, key if key is not None and usable else bytes(secretkey.KEY_BYTES))
    if not trial.values:
        return not_provable("the database holds no encrypted value to try the secret key on")
    if key is None:
        return failed(f"{trial.values:,} values are encrypted, and the bundle has no {SECRET_KEY}")
    if not usable:
        return failed(f"the secret key has {len(key)} characters instead of {secretkey.KEY_BYTES}")
    if trial.noise:
        more = f" and {trial.noise - _NAMES} more" if trial.noise > _NAMES else ""
        places = ", ".join(trial.places)
        return failed(f"of {trial.values:,} encrypted values {trial.noise:,} give noise: {places}{more}")
    if trial.bits < _PROOF_BITS:
        return not_provable(
            f"{trial.values:,} encrypted values make sense with the secret key, and are so short "
            f"that one wrong key in {2**trial.bits:,.0f} would do as well"
        )
    tokens = f", {trial.tokens:,} of them tokens," if trial.tokens else ""
    return passed(f"{trial.values:,} encrypted values{tokens} open with the secret key")


def _proof(key: bytes, value: EncryptedValue) -> float | None:
    """How much one value that makes sense proves, in bits; None for noise."""
    try:
        plain = secretkey.decrypt(value.value, key)
    except ValueError:
        return None
    if not secretkey.well_shaped(plain, json_expected=value.json_expected):
        return None
    return secretkey.proof_bits(plain)


def controls(
    bundle: Bundle, sealed: bytes, database: Target | None, *, key_proved: bool
) -> Iterator[Control | Unplanted]:
    """An identity that is none of the recipients', another's key for a certificate, another secret key."""
    files = contents(bundle.members)
    yield Control("wrong age identity", "an identity made a moment ago", lambda: _open_with_stranger(sealed))
    pairs = [pair for pair in find_pairs(files) if pair.key in files and pair.certificate in files]
    if pairs:
        wrong = {**files, pairs[0].key: x509.new_key()}
        if pairs[0].key == pairs[0].certificate:
            wrong[pairs[0].key] += files[pairs[0].certificate]
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
