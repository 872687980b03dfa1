"""Checks on restored secrets: whole, certificates pair with keys, the secret key opens the database."""

from __future__ import annotations

import random
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from drkit.checks.finding import Check, Control, Finding, Unplanted, failed, not_provable, passed, verdict
from drkit.checks.pairs import faults, find_pairs, keys_whole, pairs_match
from drkit.errors import IdentityRefused
from drkit.harbor import secretkey, tables
from drkit.harbor.tables import EncryptedValue
from drkit.model import CheckKind, Outcome, PointManifest
from drkit.secrets import capture
from drkit.secrets.bundle import Bundle, Member
from drkit.secrets.fingerprints import FingerprintKey
from drkit.tools import age, x509
from drkit.tools.postgres import sessions
from drkit.tools.postgres.targets import Target

# A wrong key turns a very short value into something that looks right now and then; three never agree.
_WRONG_KEYS = 3
# One wrong key in a million would pass: below that, the values are too few and too short to prove the key.
_PROOF_BITS = 20.0
_NAMES = 3


def checks(bundle: Bundle, manifest: PointManifest, database: Target | None) -> Iterator[Check]:
    """The checks of a bundle that was opened; `database` is the restored Harbor database, if there is one."""
    files = contents(bundle.members)
    yield Check(CheckKind.BUNDLE, lambda: bundle_whole(bundle, manifest))
    if find_pairs(files) or faults(files):
        yield Check(CheckKind.PAIRS, lambda: keys_whole(files))
    key = secret_key(files)
    if database is not None:
        yield Check(CheckKind.SECRET_KEY, lambda: key_opens(key, database))


def contents(members: Iterable[Member]) -> dict[str, bytes]:
    """Path -> content of every file."""
    return {member.path: member.data for member in members if member.kind == "file"}


def secret_key(files: Mapping[str, bytes]) -> bytes | None:
    """Harbor's secret key, if the bundle has it."""
    return next((data for path, data in files.items() if path.endswith(f"/{secretkey.PLACE}")), None)


def bundle_whole(bundle: Bundle, manifest: PointManifest) -> Finding:
    """The bundle has the files that the manifest lists, with the content that they had then.

    Its own index, checked when it was opened, says that nothing was damaged; the fingerprints in the manifest
    say that it is this point's bundle and no other's.
    """
    files = contents(bundle.members)
    wanted = {file.path: file for file in manifest.secret_files}
    found = []
    for path in sorted(wanted.keys() | files.keys()):
        if path not in files:
            found.append(f"{path} is missing")
        elif path not in wanted:
            found.append(f"{path} is not in the manifest")
        elif wanted[path].bytes != len(files[path]):
            found.append(f"{path} differs")
    key = FingerprintKey(bundle.fingerprint_key)
    bound = bool(bundle.fingerprint_key) and key.id == manifest.fingerprint_key
    if bound and not found:
        found = [f"{p} differs" for p, f in wanted.items() if f.fingerprint != key.of(p, files[p])]
    said = f"{len(files)} files, opened with the identity at hand"
    if not bundle.indexed and not found:
        return not_provable(
            f"{said}, of the right names and lengths; the bundle has no index, so nobody knows what they held"
        )
    fingerprints = ", fingerprints as in the manifest" if bound else ""
    return verdict(found, f"{said}, hashes as packed{fingerprints}")


@dataclass
class KeyTrial:
    """What came of trying a key: how many values, how many gave noise, and how much their sense proves.

    `bits` is how unlikely it is that a wrong key makes sense of all of them, as a power of two.
    """

    values: int = 0
    noise: int = 0
    tokens: int = 0
    bits: float = 0.0
    places: list[str] = field(default_factory=list)

    def add(self, value: EncryptedValue, key: bytes) -> None:
        """Try the key on one more value."""
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
    trial = KeyTrial()
    with sessions.connect(database) as session, session.undone():
        for value in tables.encrypted_values(session):
            trial.add(value, key if key is not None and usable else bytes(secretkey.KEY_BYTES))
    if not trial.values:
        return not_provable("the database holds no encrypted value to try the secret key on")
    if key is None:
        return failed(f"{trial.values:,} values are encrypted, and the bundle has no {secretkey.PLACE}")
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
        capture.unseal(sealed, age.parse_identities(line.encode(), "a made-up identity"))
    except IdentityRefused as error:
        return failed(error.message)
    return passed("the bundle opened")


def _wrong_key(database: Target) -> Finding:
    letters = string.ascii_letters + string.digits
    findings = []
    for _ in range(_WRONG_KEYS):
        key = "".join(random.SystemRandom().choices(letters, k=secretkey.KEY_BYTES)).encode()
        findings.append(key_opens(key, database))
    return next((finding for finding in findings if finding.outcome is Outcome.FAILED), findings[0])
