"""A restic key file at another cost, for the same password; tests/contract/ lets restic itself read it."""

from __future__ import annotations

import json

import pytest

from drkit.tools.restic import key_file
from drkit.tools.restic.key_file import Cost, WrongKey

# Made by restic 0.18 for a repository that is no more, and wrapped again at the least cost.
PASSWORD = b"correct horse battery staple"
SAMPLE = json.dumps(
    {
        "created": "2026-01-01T00:00:00Z",
        "username": "drkit",
        "hostname": "registry",
        "kdf": "scrypt",
        "N": 2,
        "r": 1,
        "p": 1,
        "salt": "T8F0z3Lyfqd2myx7qoMDyqMYFkMCFWcmMWJZZWVc9c5doepGrp3cao2pcvMcYLvzPBJcjgOsfqGzNIBlePRQYw==",
        "data": (
            "r8IsK5FlqkhKtFjqHO67TPt4DzTOCcmejpHQWzF2OCBkBgeyhs5kP/U0CeJgHC7RBrcyA8X2tf0A3/Mh"
            "fmczvj/wrNtYMT+ec0SD24cANmXhNukPsPNgchYUOpsKynEX4GLKtaFUDg6mgeHxuzObKYhhxtcBumzr"
            "mPTlOMzQLetJXg4GXhvyJwp1HMQ6ADzMq91m6c1DoN6j1htJe1mGDw=="
        ),
    }
)


def test_the_cost_is_what_the_file_says() -> None:
    assert key_file.cost_of('{"kdf": "scrypt", "N": 32768, "r": 8, "p": 7}') == Cost(32768, 8, 7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '"x"',
        "{}",
        '{"kdf": "scrypt", "N": 2, "r": 1}',
        '{"kdf": "argon2", "N": 2, "r": 1, "p": 1}',
        '{"kdf": "scrypt", "N": "many", "r": 1, "p": 1}',
        '{"kdf": "scrypt", "N": 3, "r": 1, "p": 1, "salt": "AAAA", "data": "AAAA"}',
        '{"kdf": "scrypt", "N": 2, "r": 1, "p": 1}',
        '{"kdf": "scrypt", "N": 2, "r": 1, "p": 1, "salt": "AAAA", "data": 7}',
        '{"kdf": "scrypt", "N": 2, "r": 1, "p": 1, "salt": "AAAA", "data": "AAAA"}',
    ],
)
def test_what_is_no_key_file_is_said_to_be_none(text: str) -> None:
    with pytest.raises(WrongKey):
        key_file.with_cost(text, PASSWORD, Cost(2, 1, 1))


def test_each_has_a_salt_and_a_nonce_of_its_own() -> None:
    first = key_file.with_cost(SAMPLE, PASSWORD, Cost(2, 1, 1))
    second = key_file.with_cost(SAMPLE, PASSWORD, Cost(2, 1, 1))
    one, two = json.loads(first.text), json.loads(second.text)
    assert one["salt"] != two["salt"] != json.loads(SAMPLE)["salt"]
    assert one["data"][:20] != two["data"][:20]
    assert first.id != second.id
    again = key_file.with_cost(first.text.decode(), PASSWORD, Cost(4, 1, 1))
    assert key_file.cost_of(again.text.decode()) == Cost(4, 1, 1)


def test_a_wrong_password_or_a_changed_byte_opens_nothing() -> None:
    with pytest.raises(WrongKey, match="does not open"):
        key_file.with_cost(SAMPLE, b"another", Cost(2, 1, 1))
    document = json.loads(SAMPLE)
    changed = json.dumps({**document, "data": "AAAA" + document["data"][4:]})
    with pytest.raises(WrongKey, match="does not open"):
        key_file.with_cost(changed, PASSWORD, Cost(2, 1, 1))
