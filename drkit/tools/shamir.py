"""Secrets split into shares, of which some number is enough: SLIP-39, by shamir-mnemonic.

A share is a line of words with a checksum that finds up to three wrong ones; what is combined is checked
against a digest that was split with it (SLIP-0039, satoshilabs/slips).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shamir_mnemonic import MnemonicError, Share, combine_mnemonics, generate_mnemonics
from shamir_mnemonic.wordlist import WORDLIST

from drkit.errors import SharesRefused, UsageError
from drkit.logs import register_secret

MOST = 16
_SHORTEST = 16
_LONGEST = 256
_FEWEST = 20


@dataclass(frozen=True)
class Scheme:
    """How many shares there are, and how many of them are enough."""

    needed: int
    shares: int


def parse_scheme(text: str) -> Scheme:
    """`2-of-3`; raises UsageError. One of several is no split: each share would be the secret."""
    found = re.fullmatch(r"(\d+)-of-(\d+)", text)
    scheme = Scheme(int(found[1]), int(found[2])) if found else Scheme(0, 0)
    if not 2 <= scheme.needed <= scheme.shares <= MOST:
        raise UsageError(
            f'"{text}" is not a way to split a secret', hint=f"for example 2-of-3; at most {MOST} shares"
        )
    return scheme


def split(secret: str, scheme: Scheme) -> list[str]:
    """The shares of a text, a line of words each.

    The scheme takes 16 bytes or more, and an even number: line ends fill up what is missing, which the text
    of a key file bears. Raises UsageError for what nobody would type.
    """
    data = secret.encode()
    if len(data) > _LONGEST:
        raise UsageError(
            f"a secret of {len(data)} bytes is too long to be split into words (up to {_LONGEST})",
            hint="an age identity, a password or a credentials file is not; an SSH key is",
        )
    data += b"\n" * max(_SHORTEST - len(data), len(data) % 2)
    (group,) = generate_mnemonics(1, [(scheme.needed, scheme.shares)], data)
    return [register_secret(words) for words in group]


def split_all(secrets: Sequence[str], scheme: Scheme) -> list[list[str]]:
    """The shares of each text, told apart by their identifiers; raises UsageError.

    Those are numbers of fifteen bits, drawn by chance: two of the same would mix up two secrets for ever.
    """
    found: list[list[str]] = []
    taken: set[int] = set()
    for secret in secrets:
        shares = split(secret, scheme)
        while (identifier := Share.from_mnemonic(shares[0]).identifier) in taken:
            shares = split(secret, scheme)
        taken.add(identifier)
        found.append(shares)
    return found


def find(text: str) -> list[str]:
    """The shares in a text: a line of twenty words or more, or shorter ones that follow one another.

    Numbers before the words, as on a page, are passed over; so is everything that is no word of a share.
    """
    found: list[list[str]] = []
    going_on = False
    for line in text.lower().splitlines():
        words = [word for word in line.split() if not re.fullmatch(r"\d+[.)]?", word)]
        if not words or any(word not in _WORDS for word in words):
            going_on = False
        elif going_on and len(words) < _FEWEST:
            found[-1] += words
        else:
            found.append(words)
            going_on = len(words) < _FEWEST
    return [" ".join(words) for words in found]


def combine(lines: Sequence[str]) -> list[str]:
    """The texts that shares add up to, in the order of their first shares; raises SharesRefused.

    Shares of several secrets may be mixed. More than are needed, or one twice, do no harm.
    """
    groups: dict[int, dict[int, str]] = {}
    needed: dict[int, int] = {}
    for number, line in enumerate(lines, 1):
        register_secret(line)
        try:
            share = Share.from_mnemonic(line)
        except MnemonicError:
            raise SharesRefused(
                f"share number {number} is misspelt or cut", hint="compare each word with the page"
            ) from None
        groups.setdefault(share.identifier, {})[share.index] = line
        needed[share.identifier] = share.member_threshold
    if not groups:
        raise SharesRefused("there is no share", hint="a share is one line of at least twenty words")
    return [_combine(list(group.values()), needed[name]) for name, group in groups.items()]


def _combine(group: Sequence[str], needed: int) -> str:
    if len(group) < needed:
        raise SharesRefused(
            f"{len(group)} of the {needed} shares that are needed are there", hint="ask another holder"
        )
    try:
        data = combine_mnemonics(group[:needed])
        return register_secret(data.decode())
    except (MnemonicError, UnicodeDecodeError):
        raise SharesRefused(
            "the shares do not belong together", hint="take pages of one and the same escrow"
        ) from None


_WORDS = frozenset(WORDLIST)
