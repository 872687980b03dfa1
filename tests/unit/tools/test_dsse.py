"""Envelopes: what was signed comes out, and nothing else."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from drkit.errors import ConfigError, ReportAltered
from drkit.tools import dsse

TYPE = "application/vnd.in-toto+json"
PRIVATE, PUBLIC = dsse.generate()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "signing.pem"
    path.write_text(PRIVATE)
    return path


@pytest.fixture
def envelope(key: Path) -> bytes:
    return dsse.sign(b'{"a": 1}', TYPE, dsse.read_private(key))


def test_what_was_signed_comes_out(envelope: bytes) -> None:
    assert dsse.open_envelope(envelope, TYPE, [PUBLIC]) == (b'{"a": 1}', PUBLIC)


def test_both_halves_say_the_same_public_key(key: Path, tmp_path: Path) -> None:
    other = tmp_path / "signing.pub"
    other.write_text(PUBLIC)
    assert dsse.read_public(key) == dsse.read_public(other) == PUBLIC


def changed(envelope: bytes, name: str, value: object) -> bytes:
    found = json.loads(envelope)
    found[name] = value
    return json.dumps(found).encode()


def test_another_payload_is_refused(envelope: bytes) -> None:
    other = changed(envelope, "payload", base64.b64encode(b'{"a": 2}').decode())
    with pytest.raises(ReportAltered, match="altered"):
        dsse.open_envelope(other, TYPE, [PUBLIC])


def test_the_type_is_signed_as_well(envelope: bytes) -> None:
    with pytest.raises(ReportAltered, match="altered"):
        dsse.open_envelope(changed(envelope, "payloadType", "text/plain"), "text/plain", [PUBLIC])
    with pytest.raises(ReportAltered, match="text/plain"):
        dsse.open_envelope(changed(envelope, "payloadType", "text/plain"), TYPE, [PUBLIC])


def test_an_unknown_key_is_refused(envelope: bytes) -> None:
    with pytest.raises(ReportAltered, match="none of the keys at hand"):
        dsse.open_envelope(envelope, TYPE, [dsse.generate()[1]])


def test_a_signature_that_takes_anothers_name_is_refused(envelope: bytes) -> None:
    """The id in an envelope is a hint; what counts is the key."""
    other = dsse.generate()[1]
    found = json.loads(envelope)
    found["signatures"][0]["keyid"] = dsse.key_id(other)
    with pytest.raises(ReportAltered, match="altered"):
        dsse.open_envelope(json.dumps(found).encode(), TYPE, [other])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"payload": 1}',
        b'{"payload": "%%", "payloadType": "x", "signatures": []}',
        b'{"payload": "", "payloadType": 1, "signatures": []}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_envelope(data: bytes) -> None:
    with pytest.raises(ReportAltered):
        dsse.open_envelope(data, TYPE, [PUBLIC])


@pytest.mark.parametrize("cut", [2, 40, 200])
def test_one_that_was_cut_short(envelope: bytes, cut: int) -> None:
    with pytest.raises(ReportAltered):
        dsse.open_envelope(envelope[:-cut], TYPE, [PUBLIC])


def test_a_signature_of_other_bytes(envelope: bytes) -> None:
    found = json.loads(envelope)
    found["signatures"][0]["sig"] = base64.b64encode(bytes(64)).decode()
    with pytest.raises(ReportAltered, match="altered"):
        dsse.open_envelope(json.dumps(found).encode(), TYPE, [PUBLIC])


@pytest.mark.parametrize(
    "text", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_without_a_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    for read in (dsse.read_private, dsse.read_public):
        with pytest.raises(ConfigError) as caught:
            read(path)
        assert "keys generate --signing" in caught.value.hint


def test_the_public_half_signs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(PUBLIC)
    with pytest.raises(ConfigError, match="is the public half of a key, which signs nothing"):
        dsse.read_private(path)


def test_who_says_to_have_signed(envelope: bytes) -> None:
    assert dsse.is_signed_by(envelope, [dsse.generate()[1], PUBLIC])
    assert not dsse.is_signed_by(envelope, [dsse.generate()[1]])
    assert dsse.payload(envelope) == (b'{"a": 1}', dsse.key_id(PUBLIC))
    assert [dsse.parse_public(data) for data in (PUBLIC.encode(), b"garbage", PRIVATE.encode())] == [
        PUBLIC,
        None,
        None,
    ]


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        dsse.read_private(tmp_path / "none")
