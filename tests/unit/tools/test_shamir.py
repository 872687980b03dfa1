"""Secrets split into shares, and put together again."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from drkit.errors import SharesRefused, UsageError
from drkit.logs import redact
from drkit.tools import age, shamir
from drkit.tools.shamir import Scheme

SECRET = age.generate()[0]


@pytest.mark.parametrize(
    "secret",
    [SECRET, "x", "fifteen letters", "seventeen letters", "grün " * 40],
    ids=["identity", "one", "odd", "even", "long"],
)
def test_enough_shares_bring_the_secret_back(secret: str) -> None:
    shares = shamir.split(secret, Scheme(2, 3))
    for some in itertools.permutations(shares, 2):
        assert [text.rstrip("\n") for text in shamir.combine(some)] == [secret]
    assert shamir.combine([*shares, shares[0]])[0].rstrip("\n") == secret, "more than enough does no harm"


def test_too_few_shares_say_how_many_are_missing() -> None:
    shares = shamir.split(SECRET, Scheme(3, 5))
    with pytest.raises(SharesRefused) as caught:
        shamir.combine([shares[0], shares[4], shares[4]])
    assert caught.value.message == "2 of the 3 shares that are needed are there"


def test_shares_of_several_secrets_may_be_mixed() -> None:
    first, second = shamir.split(SECRET, Scheme(2, 2)), shamir.split("another secret of mine", Scheme(2, 3))
    assert shamir.combine([first[1], second[2], second[0], first[0]]) == [SECRET, "another secret of mine"]


def test_a_wrong_word_is_found_in_every_place() -> None:
    words = shamir.split(SECRET, Scheme(2, 2))[0].split()
    for place, word in enumerate(words):
        other = "academic" if word != "academic" else "acid"
        with pytest.raises(SharesRefused) as caught:
            shamir.combine([" ".join([*words[:place], other, *words[place + 1 :]])])
        assert caught.value.message == "share number 1 is misspelt or cut"
        assert word not in caught.value.message.split()
    with pytest.raises(SharesRefused):
        shamir.combine([" ".join(words[:-1])])


def test_no_share_at_all() -> None:
    with pytest.raises(SharesRefused, match="there is no share"):
        shamir.combine([])


def test_shares_are_found_however_they_were_typed() -> None:
    one, two = shamir.split(SECRET, Scheme(2, 2))
    words = one.upper().split()
    wrapped = "\n".join("  " + " ".join(words[start : start + 10]) for start in range(0, len(words), 10))
    numbered = "\n".join(f"{number}. {word}" for number, word in enumerate(two.split(), 1))
    page = f"Identity, share 1 of 2\nwas in a file:\n\n{wrapped}\n\nand the other\n{numbered}\nthe end"
    assert shamir.find(page) == [one, two]
    assert shamir.find(f"{one}\n{two}\n") == [one, two]
    assert shamir.find("nothing of that kind\n") == []


@pytest.mark.parametrize("text", ["", "2", "1-of-1", "1-of-3", "3-of-2", "2-of-17", "0-of-0", "2-of-3-of-4"])
def test_what_is_no_scheme(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        shamir.parse_scheme(text)
    assert caught.value.message == f'"{text}" is not a way to split a secret'


def test_what_nobody_would_type_is_not_split() -> None:
    with pytest.raises(UsageError, match="a secret of 257 bytes is too long"):
        shamir.split("x" * 257, Scheme(2, 2))


def test_shares_are_secrets() -> None:
    share = shamir.split(SECRET, Scheme(2, 2))[0]
    assert redact(f"typed: {share}") == "typed: ***"


def test_the_program_of_the_library_needs_no_drkit() -> None:
    """As the escrow page says: `shamir recover` prints a number, which is the file."""
    shares = shamir.split(SECRET, Scheme(2, 3))
    program = Path(sys.executable).with_name("shamir")
    done = subprocess.run(
        [program, "recover"], input=f"{shares[2]}\n{shares[0]}\n", capture_output=True, text=True, check=True
    )
    number = done.stdout.rpartition("Your master secret is: ")[2].strip()
    assert bytes.fromhex(number).decode() == SECRET


def test_two_secrets_never_share_an_identifier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn again where chance gives the same twice: shares of both on one page must come apart."""
    drawn = itertools.chain([7, 7, 7, 8])
    monkeypatch.setattr("shamir_mnemonic.shamir._random_identifier", lambda: next(drawn))
    secrets = ["a secret of some one", "a secret of another."]
    first, second = shamir.split_all(secrets, Scheme(2, 2))
    assert shamir.combine([*first, *second]) == secrets
