"""Harbor's cipher, which does not tell a wrong key from the right one: the shape of the plain text must."""

from __future__ import annotations

import base64
import hashlib
import json
import os

import pytest
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from drkit.harbor.secretkey import decrypt, well_shaped
from drkit.harbor.secretkey import encrypt as encrypted

# A value that a real Harbor wrote.
KEY = b"naa4JtarA1Zsc3uY"
VALUE = "<enc-v1>6FvOrx1O9TKBdalX4gMQrrKNZ99KIyg="
WRONG_KEYS = [hashlib.sha256(bytes([number])).digest()[:16] for number in range(256)]


def encrypt(plain: bytes, key: bytes = KEY) -> str:
    """As Harbor does it (src/common/utils/encrypt.go)."""
    vector = os.urandom(16)
    encryptor = Cipher(algorithms.AES(key), CFB(vector)).encryptor()
    return "<enc-v1>" + base64.b64encode(vector + encryptor.update(plain) + encryptor.finalize()).decode()


def test_the_value_of_a_real_harbor() -> None:
    assert decrypt(VALUE, KEY) == b"secret1"
    assert well_shaped(b"secret1", json_expected=False)


@pytest.mark.parametrize("plain", [b"", b"x", b"0123456789abcdef", "Grüße, 世界".encode(), b"a\tb\r\nc"])
def test_plain_texts_of_any_length(plain: bytes) -> None:
    assert decrypt(encrypt(plain), KEY) == plain
    assert well_shaped(plain, json_expected=False)


def test_a_wrong_key_gives_noise_and_no_error() -> None:
    """And noise is never JSON, nor text where there is enough of it."""
    token = json.dumps({"access_token": "abc", "expiry": "2026-11-24T06:00:00Z"}).encode()
    assert well_shaped(decrypt(encrypt(token), KEY), json_expected=True)
    for key in WRONG_KEYS:
        noise = decrypt(encrypt(token), key)
        assert len(noise) == len(token)
        assert not well_shaped(noise, json_expected=True)
        assert not well_shaped(noise, json_expected=False)
        assert not well_shaped(decrypt(VALUE, key), json_expected=True)


@pytest.mark.parametrize(
    ("plain", "json_expected", "expected"),
    [
        (b'{"a": 1}', True, True),
        (b"secret1", True, False),
        (b"", True, False),
        (b'{"a": 1', True, False),
        (b"\xff\xfe", True, False),
        (b"\xff\xfe", False, False),
        (b"a\x00b", False, False),
        (b"a\x1bb", False, False),
    ],
)
def test_shapes(plain: bytes, json_expected: bool, expected: bool) -> None:
    assert well_shaped(plain, json_expected=json_expected) is expected


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("secret1", "the value is not encrypted"),
        ("", "the value is not encrypted"),
        ("<enc-v1>", "the value is shorter than its initialisation vector"),
        ("<enc-v1>6FvOrx1O", "the value is shorter than its initialisation vector"),
        ("<enc-v1>6FvOrx1O9TKBdalX4gMQrrKNZ99KIyg", "the value is not base64: Incorrect padding"),
    ],
)
def test_values_of_another_format(value: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        decrypt(value, KEY)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("value", ["<enc-v1>not base64!", "<enc-v1>größe", "<enc-v1>6FvO rx1O"])
def test_letters_that_are_not_base64(value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decrypt(value, KEY)


@pytest.mark.parametrize("key", [b"", KEY[:-1], KEY + b"\n"])
def test_a_key_of_the_wrong_length(key: bytes) -> None:
    with pytest.raises(ValueError, match="key size"):
        decrypt(VALUE, key)


def test_what_is_encrypted_opens() -> None:
    assert decrypt(encrypted("Grüße", KEY), KEY) == "Grüße".encode()


def test_a_key_of_another_length_encrypts_nothing() -> None:
    with pytest.raises(ValueError, match="key size"):
        encrypted("x", KEY[:-1])
