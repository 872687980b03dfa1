"""Private keys against their certificates, by what the files hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from drkit.checks.finding import Finding, verdict
from drkit.errors import ConfigError
from drkit.harbor.installation import parse_installation
from drkit.model import KeyFault, KeyFaultKind, no_certificate, no_key
from drkit.secrets import classify
from drkit.secrets.kinds import SecretKind
from drkit.tools import x509

_TOKEN_PAIR = ("secret/registry/root.crt", "secret/core/private_key.pem")
# Names of a certificate's file -> that of its key beside it; the last is certbot's.
_STEMS = ((".crt", ".key"), (".pem", ".key"), (".cer", ".key"), (".pem", "-key.pem"))
_CERTBOT = ("fullchain.pem", "cert.pem")
_CERTBOT_KEY = "privkey.pem"
# Files that begin so are keys; elsewhere a key may stand inside of something else.
_BEGINNINGS = (*x509.KEY_MARKS, b"-----BEGIN EC PARAMETERS-----")


@dataclass(frozen=True)
class Pair:
    """A certificate and the private key that should be its own, by path."""

    certificate: str
    key: str


def find_pairs(files: Mapping[str, bytes]) -> tuple[Pair, ...]:
    """Which key should fit which certificate: as harbor.yml says, the token keys, and files of one stem.

    A key that is encrypted cannot be held against anything; it is told of apart.
    """
    found = {pair.certificate: pair for pair in _configured(files)}
    for path, data in files.items():
        for end in _TOKEN_PAIR:
            if path.endswith(f"/{end}"):
                pair = Pair(*(path.removesuffix(end) + each for each in _TOKEN_PAIR))
                found[pair.certificate] = pair
        if x509.holds_certificate(data) or classify.what_is(path, data) in (
            SecretKind.CERTIFICATE,
            SecretKind.AUTHORITY,
        ):
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


def _configured(files: Mapping[str, bytes]) -> Iterator[Pair]:
    """What each harbor.yml names; that a file of it is missing is for another check."""
    for path, data in files.items():
        if PurePosixPath(path).name != "harbor.yml":
            continue
        try:
            named = parse_installation(data, Path(path))
        except ConfigError:
            continue
        # What is not named is "None", which is no path of a file.
        pair = Pair(str(named.certificate), str(named.private_key))
        if pair.certificate in files and pair.key in files:
            yield pair


def of_server(files: Mapping[str, bytes]) -> Pair | None:
    """The certificate that clients of the registry are shown: what harbor.yml names, else the only one."""
    if configured := next(_configured(files), None):
        return configured
    others = [pair for pair in find_pairs(files) if not pair.certificate.endswith(f"/{_TOKEN_PAIR[0]}")]
    return others[0] if len(others) == 1 else None


def pairs_match(files: Mapping[str, bytes], pairs: Iterable[Pair]) -> Finding:
    """Each private key is that of its certificate."""
    pairs = tuple(pairs)
    found = [fault.said for pair in pairs if (fault := _of_pair(files, pair))]
    return verdict(found, f"{len(pairs)} certificates pair with their keys")


def keys_whole(files: Mapping[str, bytes]) -> Finding:
    """Each private key can be read, and is that of its certificate where it has one."""
    said = f"{len(find_pairs(files))} certificates pair with their keys"
    return verdict([fault.said for fault in faults(files)], said)


def faults(files: Mapping[str, bytes]) -> tuple[KeyFault, ...]:
    """What is wrong with the private keys among files, and with the certificates that they belong to."""
    pairs = find_pairs(files)
    paired = {path for pair in pairs for path in (pair.certificate, pair.key)}
    lone = {path: data for path, data in files.items() if path not in paired}
    found = [*(_of_pair(files, pair) for pair in pairs), *(_of_lone(p, data) for p, data in lone.items())]
    return tuple(dict.fromkeys(fault for fault in found if fault))


def _of_pair(files: Mapping[str, bytes], pair: Pair) -> KeyFault | None:
    missing = [path for path in (pair.certificate, pair.key) if path not in files]
    if missing:
        return KeyFault(KeyFaultKind.NOT_THERE, missing[0])
    try:
        wanted = x509.read_certificate(files[pair.certificate]).public_key
    except ValueError:
        return no_certificate(pair.certificate, files[pair.certificate])
    try:
        same = wanted == x509.public_half(files[pair.key])
    except ValueError:
        return no_key(pair.key, files[pair.key])
    return None if same else KeyFault(KeyFaultKind.OTHERS_KEY, pair.key, pair.certificate)


def _of_lone(path: str, data: bytes) -> KeyFault | None:
    if not data.lstrip().startswith(_BEGINNINGS) or not x509.holds_key(data):
        return None
    try:
        x509.public_half(data)
    except x509.Unsupported:
        return None
    except ValueError:
        return no_key(path, data)
    return None
