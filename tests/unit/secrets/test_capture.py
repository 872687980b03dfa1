"""Sealing and opening: what would not open on the day of need is refused on the day of the backup."""

from __future__ import annotations

import pytest

from drkit.errors import ConfigError, IdentityRefused, RestoreDamaged
from drkit.secrets import capture
from drkit.secrets.bundle import Member
from drkit.secrets.fingerprints import FingerprintKey
from drkit.tools import age

KEY = FingerprintKey(b"k" * 32)
MEMBER = Member("/data/key", "file", 0o600, 0, 0, 0, b"key")


def identity() -> tuple[list[age.Identity], str]:
    line, recipient = age.generate()
    return age.parse_identities(line.encode(), "made up"), recipient


def test_what_could_not_be_unpacked_is_not_packed() -> None:
    mine, recipient = identity()
    assert capture.unseal(capture.seal([MEMBER], [recipient], KEY), mine)[0].data == b"key"
    link = Member("/data", "link", 0o777, 0, 0, 0, link="/data/key")
    with pytest.raises(ConfigError, match=r"the secrets cannot be packed: .* leaves the bundle"):
        capture.seal([link, MEMBER], [recipient], KEY)


def test_a_header_that_was_altered_is_damage_to_whoever_it_was_sent_to() -> None:
    (mine, recipient), (stranger, _) = identity(), identity()
    sealed = capture.seal([MEMBER], [recipient], KEY)
    altered = sealed.replace(b"-> X25519 ", b"-> X25518 ")
    named = [f"{recipient} operator"]
    with pytest.raises(RestoreDamaged, match=f"does not open for its recipient {recipient} operator"):
        capture.unseal(altered, mine, named)
    with pytest.raises(IdentityRefused, match=r"which is for .* operator"):
        capture.unseal(sealed, stranger, named)


def test_what_age_says_of_damage_is_one_line() -> None:
    mine, recipient = identity()
    sealed = capture.seal([MEMBER], [recipient], KEY)
    with pytest.raises(RestoreDamaged) as caught:
        capture.unseal(sealed.replace(b"/v1", b"/v2", 1), mine)
    assert caught.value.message == "the secrets bundle is damaged: Unknown age format"
