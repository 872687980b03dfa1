"""A bundle against its manifest, and how much it proves that a secret key makes sense of encrypted values."""

from __future__ import annotations

import base64
import os
from dataclasses import replace

import pytest
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from drkit.checks.keys import KeyTrial, bundle_whole
from drkit.harbor.tables import EncryptedValue
from drkit.model import PointManifest
from drkit.secrets.bundle import Bundle, Member, pack, unpack
from drkit.secrets.fingerprints import FingerprintKey
from tests.unit.secrets.test_changes import listed

KEY = FingerprintKey(bytes(range(32)))
FILES = {"/data/secret/keys/secretkey": b"naa4JtarA1Zsc3uY", "/a.key": b"a key"}


def members(files: dict[str, bytes]) -> tuple[Member, ...]:
    return tuple(Member(path, "file", 0o600, 0, 0, 0, data) for path, data in files.items())


def bundle(files: dict[str, bytes], key: FingerprintKey = KEY) -> Bundle:
    return unpack(pack(members(files), key.secret))


def look(found: Bundle, manifest: PointManifest) -> tuple[str, str]:
    finding = bundle_whole(found, manifest)
    return finding.outcome.value, finding.detail


def test_a_bundle_that_is_its_manifests() -> None:
    said = "2 files, opened with the identity at hand, hashes as packed"
    assert look(bundle(FILES), listed(FILES, KEY)) == ("passed", f"{said}, fingerprints as in the manifest")
    old = replace(listed(FILES, KEY), fingerprint_key="")
    assert look(bundle(FILES), old) == ("passed", said), "an older drkit had no fingerprints"


def test_another_points_bundle_with_files_of_the_same_names_and_lengths() -> None:
    other = {**FILES, "/data/secret/keys/secretkey": b"a-new-secret-key"}
    assert look(bundle(other), listed(FILES, KEY)) == ("failed", "/data/secret/keys/secretkey differs")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"/a.key": b"a key"}, "/data/secret/keys/secretkey is missing"),
        ({**FILES, "/b": b""}, "/b is not in the manifest"),
        ({**FILES, "/a.key": b"longer"}, "/a.key differs"),
    ],
)
def test_what_is_not_as_the_manifest_says(files: dict[str, bytes], said: str) -> None:
    assert look(bundle(files), listed(FILES, KEY)) == ("failed", said)


def test_without_an_index_nobody_knows_what_was_in_the_files() -> None:
    by_hand = Bundle(members(FILES), indexed=False)
    outcome, detail = look(by_hand, listed(FILES, KEY))
    assert outcome == "not_provable"
    assert detail.endswith("the bundle has no index, so nobody knows what they held")
    assert look(by_hand, listed({**FILES, "/c": b""}, KEY))[0] == "failed"


# The secret key


def encrypted(plain: bytes, key: bytes, *, token: bool = False) -> EncryptedValue:
    vector = os.urandom(16)
    encryptor = Cipher(algorithms.AES(key), CFB(vector)).encryptor()
    sealed = vector + encryptor.update(plain) + encryptor.finalize()
    return EncryptedValue(
        "registry.access_secret number 1", f"<enc-v1>{base64.b64encode(sealed).decode()}", token
    )


def trial(*values: EncryptedValue) -> KeyTrial:
    found = KeyTrial()
    for value in values:
        found.add(value, b"naa4JtarA1Zsc3uY")
    return found


def test_many_short_values_prove_what_one_does_not() -> None:
    one = encrypted(b"secret1", b"naa4JtarA1Zsc3uY")
    assert trial(one).noise == 0
    assert trial(one).bits < 20 < trial(one, one, one).bits
    empty = encrypted(b"", b"naa4JtarA1Zsc3uY")
    assert trial(*[empty] * 1000).bits == 0, "what is empty looks right with any key"


def test_noise_is_counted_and_only_a_few_are_named() -> None:
    wrong = encrypted(b"a password that is long enough", b"a-new-secret-key")
    found = trial(*[wrong] * 1000, encrypted(b"secret1", b"naa4JtarA1Zsc3uY"))
    assert (found.values, found.noise, len(found.places)) == (1001, 1000, 3)


def test_a_token_must_be_json() -> None:
    token = encrypted(b'{"access_token": "abc"}', b"naa4JtarA1Zsc3uY", token=True)
    text = encrypted(b"not JSON, though it reads well", b"naa4JtarA1Zsc3uY", token=True)
    assert (trial(token).noise, trial(token).tokens) == (0, 1)
    assert trial(text).noise == 1
