"""A recipient of age as the configuration has it: its words alone, without a library that knows keys."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """A recipient as the configuration has it: the public key, its kind, and the name that follows it."""

    key: str
    kind: str
    name: str


def named(text: str) -> Named:
    """`age1... operator`, `ssh-ed25519 AAAA... root@host`: the key, and what it is called (maybe nothing)."""
    words = text.split()
    size = 2 if text.startswith("ssh-") else 1
    kind = words[0] if size == 2 and words else "x25519"
    return Named(" ".join(words[:size]), kind, " ".join(words[size:]))


def short(recipient: str) -> str:
    """A recipient for a sentence: an SSH key by its comment, or by the end of the key."""
    words = recipient.split()
    if not recipient.startswith("ssh-") or len(words) < 2:
        return recipient
    return " ".join((words[0], *(words[2:] or [f"...{words[1][-12:]}"])))
